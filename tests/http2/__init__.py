"""Tests of gorego_tw.http2."""
