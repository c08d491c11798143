"""Under which conditions a folder lives."""

from __future__ import annotations

from typing import NamedTuple


class Conditions(NamedTuple):
    """What differs between folders.

    ``evicts`` says that the limit is too small for what comes, so that blobs may go. ``write_back`` says
    that a backing cache gets afterwards what was acknowledged. ``socket`` says that clients come
    over a unix socket, whose file a killed daemon leaves behind.
    """

    name: str
    evicts: bool = False
    write_back: bool = False
    socket: bool = False

    @property
    def settings(self) -> dict[str, str]:
        """The configuration of the daemon, as environment variables."""
        # Smaller than what comes in a few seconds.
        return {"GOREGO_LOCAL_CACHE_MAX_SIZE_GB": "0.03" if self.evicts else "5"}


ALL = (
    Conditions("room for everything"),
    Conditions("room for 30 MB, unix socket", evicts=True, socket=True),
    Conditions("written back to a backing cache", write_back=True),
)
