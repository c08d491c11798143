"""What was evicted lately: a small memory that tells a miss by eviction from any other."""

from __future__ import annotations

from collections import deque

#: How many entries it remembers. Each takes some 100 bytes.
MOST = 50_000


class Evicted:
    """The last entries that were evicted.

    :param most: how many.
    """

    def __init__(self, most: int = MOST) -> None:
        # Hashes of the keys: two that are the same are a miss told wrongly, in 2^64 of them.
        self._known: set[int] = set()
        self._order: deque[int] = deque()
        self._most = most

    def add(self, key: bytes) -> None:
        """That entry is evicted."""
        known = hash(key)
        if known in self._known:
            return
        self._known.add(known)
        self._order.append(known)
        if len(self._order) > self._most:
            self._known.discard(self._order.popleft())

    def __contains__(self, key: bytes) -> bool:
        return hash(key) in self._known

    def __len__(self) -> int:
        return len(self._known)
