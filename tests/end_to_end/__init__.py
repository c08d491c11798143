"""The daemon in a process of its own, driven by clients that know nothing of its code."""
