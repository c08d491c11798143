"""What was taken out of the index, or replaced there: counted, and the last keys by name."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from itertools import islice

#: How many keys are remembered: some seconds of eviction. Looking through all takes 0.2 ms.
MOST = 4_096


class Removals:
    """The removals since the index was opened.

    :ivar count: how many there were.
    """

    def __init__(self, most: int = MOST) -> None:
        self.count = 0
        self._last: deque[bytes] = deque(maxlen=most)

    def add(self, keys: Collection[bytes]) -> None:
        """Those entries were taken out or replaced."""
        self._last.extend(keys)
        self.count += len(keys)

    def since(self, count: int) -> Iterable[bytes] | None:
        """The keys of all after the first ``count``; None if that is too long ago to be known."""
        new = self.count - count
        return None if new > len(self._last) else islice(reversed(self._last), new)
