"""Tests of copying between stores."""
