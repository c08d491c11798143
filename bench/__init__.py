"""Figures of the daemon beside those of grpcio, taken in one run on one machine: ``make bench``."""
