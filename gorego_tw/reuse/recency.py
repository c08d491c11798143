"""Entries in the order of their last use, and how much is younger than one of them."""

from __future__ import annotations

#: How many places have one sum: with thousands of places both the sums and the places of one block
#: are added up in a microsecond.
BLOCK = 128


class Recency:
    """Entries with weights. Each use takes the next place; the places that were left weigh nothing.

    :param most: how many entries there are at most.
    :ivar weight: of all of them.
    """

    def __init__(self, most: int) -> None:
        blocks = 2 * most // BLOCK + 2
        self.weight = 0
        # A dictionary keeps the order in which its keys came: here that of last uses.
        self._places: dict[bytes, int] = {}
        self._weights = [0] * (blocks * BLOCK)
        self._sums = [0] * blocks
        self._next = 0

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def keys(self) -> list[bytes]:
        """All of them, the oldest first."""
        return list(self._places)

    def use(self, key: bytes, weight: int) -> int | None:
        """The entry is used, and weighs so much from now on.

        :returns: what all those weigh that were used since it was; None if it was not there.
        """
        younger = None
        place = self._places.get(key)
        if place is not None:
            younger = self._younger(place)
            self._drop(key)
        if self._next == len(self._weights):
            self._close_ranks()
        self._places[key] = self._next
        self._weights[self._next] = weight
        self._sums[self._next // BLOCK] += weight
        self._next += 1
        self.weight += weight
        return younger

    def drop_oldest(self) -> bytes:
        """Forget the entry that was not used for longest.

        :returns: its key.
        """
        key = next(iter(self._places))
        self._drop(key)
        return key

    def _younger(self, place: int) -> int:
        block = place // BLOCK
        return sum(self._sums[block + 1 :]) + sum(self._weights[place + 1 : (block + 1) * BLOCK])

    def _drop(self, key: bytes) -> None:
        place = self._places.pop(key)
        weight = self._weights[place]
        self._weights[place] = 0
        self._sums[place // BLOCK] -= weight
        self.weight -= weight

    def _close_ranks(self) -> None:
        """Give the entries the first places, in their order."""
        weights = [self._weights[place] for place in self._places.values()]
        self._places = {key: place for place, key in enumerate(self._places)}
        self._next = len(weights)
        self._weights[:] = weights + [0] * (len(self._weights) - len(weights))
        self._sums[:] = [
            sum(self._weights[start : start + BLOCK])
            for start in range(0, len(self._weights), BLOCK)
        ]
