"""Under which conditions a folder lives."""

from __future__ import annotations

from typing import NamedTuple


class Conditions(NamedTuple):
    """What differs between folders.

    ``is_tight`` says that the limit is too small for what comes, so that blobs are evicted and writes
    refused. ``write_back`` says that a backing cache gets afterwards what was acknowledged. ``socket``
    says that clients come over a unix socket, whose file a killed daemon leaves behind. ``compressed``
    says that what has come is compressed afterwards, and all is read again and again by scrub.
    """

    name: str
    is_tight: bool = False
    write_back: bool = False
    socket: bool = False
    compressed: bool = False

    @property
    def evicts(self) -> bool:
        """Whether what was acknowledged may be gone; it may not if a backing cache has it."""
        return self.is_tight and not self.write_back

    @property
    def settings(self) -> dict[str, str]:
        """The configuration of the daemon, as environment variables."""
        # Less than what comes in a second or two.
        settings = {"GOREGO_LOCAL_CACHE_MAX_SIZE_GB": "0.015" if self.is_tight else "5"}
        if self.compressed:
            settings["GOREGO_LOCAL_CACHE_COMPRESSION"] = "zstd"
            settings["GOREGO_LOCAL_CACHE_SCRUB_BYTES_PER_SECOND"] = "100000000"
        return settings


ALL = (
    Conditions("room for everything"),
    Conditions("room for 15 MB, unix socket", is_tight=True, socket=True),
    Conditions("written back to a backing cache", write_back=True),
    Conditions("room for everything, compressed", compressed=True),
    Conditions("room for 15 MB, written back", is_tight=True, write_back=True),
)
