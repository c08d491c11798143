"""What the parts of the daemon have counted, under the names that operators know."""
