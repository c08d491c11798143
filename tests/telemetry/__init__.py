"""Tests of gorego_tw.telemetry."""
