"""Instance names as the backing cache has them."""

from __future__ import annotations


def joined(backing: str, client: str) -> str:
    """The client's instance name below ours, so that two clients' names stay two."""
    return "/".join(filter(None, (backing, client)))
