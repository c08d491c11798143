"""Tests of gorego_tw.grpc."""
