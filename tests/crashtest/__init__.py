"""Tests of the crash test."""
