"""What is known to be in the backing cache, for a while."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.interfaces import IReactorTime

from gorego_tw.digest import Digest

#: How many blobs are remembered: a digest, its key and its place in the dictionary take some
#: 250 bytes, so this many take 33 MB at most.
MOST_ENTRIES = 131_072


class Presence:
    """Remembers that blobs were there. That one was absent is never remembered: it may come any time.

    :param seconds: for how long it is believed, in seconds.
    :param entries: how many are remembered; the oldest are forgotten first.
    :ivar spared: how often nobody had to be asked for one.
    """

    def __init__(self, *, clock: IReactorTime, seconds: float, entries: int = MOST_ENTRIES) -> None:
        self._clock = clock
        self._seconds = seconds
        self._entries = entries
        self._until: dict[Digest, float] = {}
        self.spared = 0

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, digest: Digest) -> bool:
        until = self._until.get(digest)
        return until is not None and self._clock.seconds() < until

    def add(self, digests: Iterable[Digest]) -> None:
        """They are there now."""
        until = self._clock.seconds() + self._seconds
        for digest in digests:
            # Those that were seen last are last, so that the first are the first to be forgotten.
            self._until.pop(digest, None)
            self._until[digest] = until
        while len(self._until) > self._entries:
            del self._until[next(iter(self._until))]

    def forget(self, digests: Iterable[Digest]) -> None:
        """They turned out not to be there."""
        for digest in digests:
            self._until.pop(digest, None)

    def clear(self) -> None:
        """It may be another one by now, or have lost what it had."""
        self._until.clear()

    def unknown(self, digests: Iterable[Digest]) -> list[Digest]:
        """Those of which it is not known, in their order, each once."""
        now, known = self._clock.seconds(), self._until.get
        each = dict.fromkeys(digests)
        unknown = [digest for digest in each if known(digest, 0.0) <= now]
        self.spared += len(each) - len(unknown)
        return unknown
