"""Tests of the local tier and the wrappers of stores."""
