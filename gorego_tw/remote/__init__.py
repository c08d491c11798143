"""The backing cache as stores."""
