"""Copying between the local tier and the backing cache."""
