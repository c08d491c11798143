"""Tests of gorego, in the folders of what they test."""
