"""Blobs that are passed on because there is no room to keep them, and how many may be at a time."""

from __future__ import annotations

from gorego_tw.digest import Digest
from gorego_tw.storage.failures import no_room

#: How many are passed on at a time. What a reader does not take is held for it by gRPC, up to 8 MiB
#: for each (gorego_tw.remote.connections): 256 MiB at worst.
MOST_UNKEPT = 32

#: Blobs of up to so many bytes come whole, in batches, and are not counted.
SMALL_BYTES = 64 * 1024


class Place:
    """Room for one body, given back by ``release`` or with the last who knows it."""

    __slots__ = ("_places",)

    def __init__(self, places: Places | None) -> None:
        self._places = places

    def release(self) -> None:
        """Give it back; nothing if that was done before."""
        places, self._places = self._places, None
        if places is not None:
            places.taken -= 1

    def __del__(self) -> None:
        self.release()


class Places:
    """The places there are.

    :param most: how many.
    :ivar taken: how many are.
    :ivar refusals: how often there was none.
    """

    def __init__(self, most: int = MOST_UNKEPT) -> None:
        self.taken = 0
        self.refusals = 0
        self._most = most

    def take(self, digest: Digest) -> Place:
        """A place for a blob.

        :raises ResourceExhausted: there is none.
        """
        if digest.size_bytes <= SMALL_BYTES:
            return Place(None)
        if self.taken >= self._most:
            self.refusals += 1
            raise no_room(
                f"local tier: no room to keep blob {digest}, and {self._most} are passed on unkept "
                "already: raise local_cache.max_size_gb or free disk space"
            )
        self.taken += 1
        return Place(self)
