"""Which entries are to go: nearly the least recently used ones, found by sampling.

Keys are hashes, so the entries next to a random key are a fair sample of all. The oldest of a
few samples is, nearly always, among the oldest of all; no list of entries in their order is
needed, and the cost does not depend on how many there are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from math import inf
from random import Random
from typing import NamedTuple

from gorego_tw.storage.records import Tally

#: How many neighbours are looked at for each entry that goes. With 32, and a pool, traces of
#: continuous integration have up to 0.4 % fewer hits than with all entries in order; with 16, up to
#: 1.1 % (bench/hit_rate.py).
SAMPLE = 32

#: How many of the oldest seen so far are remembered from sample to sample.
POOL = 64

#: How often a sample may hold nothing but what is gone, in use again or pinned, before we give up:
#: 512 entries in 0.5 ms. If 99 of 100 are pinned, one of 200 searches finds none to go; then ``walk`` does.
_ATTEMPTS = 16

#: More than enough random bytes to meet any entry: the first of a hash that is longer.
_RANDOM_BYTES = 8


class Candidate(NamedTuple):
    """An entry that may go, and its last use in seconds since the epoch."""

    last_used: int
    key: bytes


class SampledLRU:
    """Chooses the entry that goes next.

    :param tallies: how many entries there are of each kind, the first byte of their keys.
    :param neighbours: up to that many entries of one kind from a key on, with their last uses.
    :param latest: the last use of an entry, given what ``neighbours`` said.
    :param pinned: whether an entry must stay, given its key and its last use.
    :ivar samples_ahead: how many samples were taken for choices to come.
    """

    def __init__(
        self,
        *,
        tallies: Callable[[], Mapping[int, Tally]],
        neighbours: Callable[[bytes, int], list[tuple[bytes, int]]],
        latest: Callable[[bytes, int], int],
        pinned: Callable[[bytes, int], bool],
        random: Random,
    ) -> None:
        self._tallies = tallies
        self._neighbours = neighbours
        self._latest = latest
        self._pinned = pinned
        self._random = random
        self.samples_ahead = 0
        # Of last uses and keys: candidates without their names, since there are so many of them.
        self._pool: list[tuple[int, bytes]] = []

    def look(self) -> bool:
        """Take a sample ahead, which the next choice need not take; whether there are any entries."""
        self.samples_ahead += 1
        return self._sample()

    def oldest(self) -> Candidate | None:
        """The entry that should go; None if there is none, or hardly any that may.

        It is not offered again, unless a later sample meets it.
        """
        for _ in range(_ATTEMPTS):
            if self.samples_ahead and self._pool:
                self.samples_ahead -= 1
            else:
                self.samples_ahead = 0
                if not self._sample():
                    return None
            while self._pool:
                candidate = Candidate(*self._pool.pop(0))
                if self._is_current(candidate):
                    return candidate
        return None

    def walk(self) -> Iterator[bool]:
        """Look at all entries in order, some at each step: what may go is found however little that is, and is
        offered next.

        :returns: of each step, whether it has found any.
        """
        for kind in sorted(self._tallies()):
            key = bytes([kind])
            while key:
                found = self._neighbours(key, SAMPLE)
                # Behind the last entry of a kind comes its first one again.
                ahead = [entry for entry in found if entry[0] >= key]
                key = ahead[-1][0] + b"\0" if len(ahead) == SAMPLE else b""
                before = len(self._pool)
                for entry in ahead:
                    self._remember(*entry)
                yield len(self._pool) > before

    def _remember(self, key: bytes, used: int) -> None:
        """Have it in the pool, unless it is pinned."""
        entry = (self._latest(key, used), key)
        if self._pinned(key, entry[0]):
            return
        place = bisect_left(self._pool, entry)
        if self._pool[place : place + 1] != [entry]:
            self._pool.insert(place, entry)

    def _sample(self) -> bool:
        """Take a sample into the pool; whether there are any entries."""
        tallies = self._tallies()
        weights = [max(0, tally.entries) for tally in tallies.values()]
        if not any(weights):
            return False
        (kind,) = self._random.choices(list(tallies), weights)
        start = bytes([kind]) + self._random.randbytes(_RANDOM_BYTES)
        pool = self._pool
        # Nearly all are younger than all in the pool: to look at them further costs more than the sample.
        youngest = pool[-1][0] if len(pool) > POOL // 2 else inf
        for key, used in self._neighbours(start, SAMPLE):
            if used <= youngest:
                self._remember(key, used)
        del pool[POOL:]
        return True

    def _is_current(self, candidate: Candidate) -> bool:
        """Whether it is still there, is not pinned, and was not used since it was seen."""
        if self._pinned(candidate.key, candidate.last_used):
            return False
        found = self._neighbours(candidate.key, 1)
        if not found or found[0][0] != candidate.key:
            return False
        return self._latest(*found[0]) <= candidate.last_used
