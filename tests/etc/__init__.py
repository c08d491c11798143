"""What operators copy from etc/: it says what it should, and the tools it is for take it."""
