"""Tests of gorego_tw.tracing."""
