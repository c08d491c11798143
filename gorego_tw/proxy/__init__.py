"""The local tier and the backing cache as one store."""
