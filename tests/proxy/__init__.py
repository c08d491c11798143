"""Tests of the two tiers as one store."""
