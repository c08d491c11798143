"""Making room in the local tier by dropping what was not used for longest."""
