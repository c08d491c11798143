"""What operators and their tools read over HTTP."""
