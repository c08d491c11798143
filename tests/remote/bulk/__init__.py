"""Tests of the backing cache as stores."""
