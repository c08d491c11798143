"""Stores and services that let be seen what they do: each as it is, and recorded beside that."""
