"""Kills a daemon that is at work, again and again, and looks whether it kept its word."""
