"""Tests of zstd."""
