"""The reading and the printing of figures."""
