"""Tests of the estimate of reuse."""
