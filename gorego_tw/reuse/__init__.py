"""How much disk would help: what the hit ratio would be if the local tier had another limit."""
