"""Tests of gorego_tw.web."""
