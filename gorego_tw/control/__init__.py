"""What the owner of a folder does to it, by the command ``gorego cache``."""
