"""Times of use by keys, in small parts.

A dictionary of a hundred thousand entries takes milliseconds when it grows, and sorting as many keys
takes longer: all calls would have to wait. So there is one for each first byte of a hash. One after
the other they also are the order in which entries are neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable

#: Which byte of a key decides: the first one of the hash.
_AT = 1


class Uses:
    """The times of some uses.

    :ivar count: how many there are.
    """

    __slots__ = ("_next", "_parts", "_sorted", "count")

    def __init__(self) -> None:
        self.count = 0
        self._parts: list[dict[bytes, int]] = [{} for _ in range(256)]
        # What is being taken: which part is the next; the keys of the one before, from the last to the first.
        self._next = 0
        self._sorted: list[bytes] = []

    def note(self, key: bytes, used: int) -> None:
        """That entry was used then. Not once some were taken."""
        part = self._parts[key[_AT]]
        if key not in part:
            self.count += 1
        part[key] = used

    def note_all(self, keys: Iterable[bytes], used: int) -> None:
        """All of those were."""
        parts, new = self._parts, 0
        for key in keys:
            part = parts[key[_AT]]
            if key not in part:
                new += 1
            part[key] = used
        self.count += new

    def get(self, key: bytes) -> int | None:
        """When that entry was used; None if it is not known here."""
        return self._part(key).get(key)

    def forget(self, key: bytes) -> None:
        """That entry is gone."""
        if self._part(key).pop(key, None) is not None:
            self.count -= 1

    def _part(self, key: bytes) -> dict[bytes, int]:
        # What the index has under a damaged key is in none.
        return self._parts[key[_AT]] if len(key) > _AT else {}

    def forget_some(self, count: int) -> None:
        """Forget so many, or all there are."""
        for part in self._parts:
            while part and count > 0:
                part.popitem()
                self.count -= 1
                count -= 1

    def take(self, count: int) -> list[tuple[bytes, int]]:
        """Take out the next ones in the order of their hashes, at most so many; none if there are no more."""
        taken: list[tuple[bytes, int]] = []
        while len(taken) < count:
            if self._sorted:
                key = self._sorted.pop()
                used = self._parts[key[_AT]].pop(key, None)
                if used is not None:
                    taken.append((key, used))
            elif self._next < len(self._parts):
                self._sorted = sorted(self._parts[self._next], reverse=True)
                self._next += 1
            else:
                break
        self.count -= len(taken)
        return taken
