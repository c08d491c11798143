"""Blobs that are here and should be in the backing cache too, but did not get there."""

from __future__ import annotations

from collections.abc import Iterable

from gorego_tw.digest import Digest

#: How many are remembered, some 250 bytes each; the oldest are forgotten first.
MOST_ENTRIES = 131_072


class HereAlone:
    """Those whose write has failed because of that. Nobody is to rely on them: whoever asks is told what the
    backing cache says, so that they are sent again.

    It is in memory alone. Whoever stores an action result makes sure that its blobs are there in any case.

    :param entries: how many are remembered.
    """

    def __init__(self, entries: int = MOST_ENTRIES) -> None:
        self._entries = entries
        self._digests: dict[Digest, None] = {}

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, digest: Digest) -> None:
        """It did not get there."""
        self._digests[digest] = None
        if len(self._digests) > self._entries:
            del self._digests[next(iter(self._digests))]

    def discard(self, digests: Iterable[Digest]) -> None:
        """They are there, or will be."""
        for digest in digests:
            self._digests.pop(digest, None)

    def joined(self, missing: list[Digest], digests: Iterable[Digest]) -> list[Digest]:
        """What is missing, and those of all digests that are here alone; in the order of all, each once."""
        if not self._digests:
            return missing
        asked = self._digests.keys() | missing
        return [digest for digest in dict.fromkeys(digests) if digest in asked]
