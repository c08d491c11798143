"""Tests of gorego_tw.reapi."""
