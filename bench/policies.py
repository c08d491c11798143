"""Policies that were tried instead of the janitor's, simulated in memory.

Each is what it would be here: nothing is in order, and the best of a sample goes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from math import sqrt
from random import Random

from bench.ci_trace import Entry
from bench.replay import Replayed
from gorego_tw.storage.records import disk_bytes

_SAMPLE = 48


@dataclass(slots=True)
class Known:
    """What is known of an entry that is kept."""

    key: bytes
    taken: int
    first: float
    last: float
    place: int
    uses: int = 1
    rank: float = 0.0


class Sampled(Replayed):
    """Evicts the one of a sample with the least worth."""

    def __init__(self, capacity_bytes: int) -> None:
        super().__init__(capacity_bytes)
        self._random = Random(1)
        self._kept: dict[bytes, Known] = {}
        self._all: list[Known] = []
        self._used_bytes = 0
        self._now = 0.0

    def worth(self, known: Known) -> float:
        """How much is lost with it."""
        raise NotImplementedError

    def used(self, known: Known) -> None:
        """It was used, or has come."""

    def went(self, known: Known) -> None:
        """It was evicted."""

    def proceed(self, time: float) -> None:
        """It is so late now."""
        self._now = max(self._now, time)

    def has(self, entry: Entry) -> bool:
        """Whether it is there."""
        return entry.key in self._kept

    def use(self, entry: Entry) -> bool:
        """Whether it is there."""
        known = self._kept.get(entry.key)
        if known is None:
            return False
        known.last = self._now
        known.uses += 1
        self.used(known)
        return True

    def store(self, entry: Entry) -> None:
        """Keep it."""
        taken = disk_bytes(entry.size_bytes)
        known = Known(entry.key, taken, self._now, self._now, len(self._all))
        self._kept[entry.key] = known
        self._all.append(known)
        self._used_bytes += taken
        self.used(known)

    def make_room(self) -> None:
        """Those of the least worth go."""
        random, kept = self._random.random, self._all
        while self._used_bytes > self.capacity_bytes:
            sample = {int(random() * len(kept)) for _ in range(_SAMPLE)}
            known = min((kept[place] for place in sample), key=self.worth)
            last = kept.pop()
            if last is not known:
                kept[known.place], last.place = last, known.place
            del self._kept[known.key]
            self._used_bytes -= known.taken
            self.went(known)


class SizeAwareLRU(Sampled):
    """The product of the age and the root of the size decides."""

    def worth(self, known: Known) -> float:
        """Less for what is older and larger."""
        return -(self._now - known.last + 1) * sqrt(known.taken)


class Hyperbolic(Sampled):
    """How often it was used in its time here, for the root of its size (Blankstein et al., 2017)."""

    def worth(self, known: Known) -> float:
        """More for what is used more often."""
        return known.uses / ((self._now - known.first + 1) * sqrt(known.taken))


class GDSF(Sampled):
    """Greedy dual with frequency and the root of the size (Cherkasova, 1998)."""

    def __init__(self, capacity_bytes: int) -> None:
        super().__init__(capacity_bytes)
        self._level = 0.0

    def used(self, known: Known) -> None:
        """What was evicted last says how much a use is worth."""
        known.rank = self._level + known.uses / sqrt(known.taken)

    def worth(self, known: Known) -> float:
        """As of its last use."""
        return known.rank

    def went(self, known: Known) -> None:
        """Those that stay are worth less from now on."""
        self._level = max(self._level, known.rank)


class S3FIFO(Replayed):
    """Three queues without an order of uses (Yang et al., 2023), by bytes."""

    def __init__(self, capacity_bytes: int) -> None:
        super().__init__(capacity_bytes)
        self._uses: dict[bytes, int] = {}
        self._small: OrderedDict[bytes, int] = OrderedDict()
        self._main: OrderedDict[bytes, int] = OrderedDict()
        self._ghosts: OrderedDict[bytes, int] = OrderedDict()
        self._small_bytes = self._main_bytes = self._ghost_bytes = 0

    def has(self, entry: Entry) -> bool:
        """Whether it is there."""
        return entry.key in self._uses

    def use(self, entry: Entry) -> bool:
        """Whether it is there."""
        if entry.key not in self._uses:
            return False
        self._uses[entry.key] = min(3, self._uses[entry.key] + 1)
        return True

    def store(self, entry: Entry) -> None:
        """Into the main queue, if it went not long ago; else it has to prove itself."""
        taken = disk_bytes(entry.size_bytes)
        self._uses[entry.key] = 0
        if self._ghosts.pop(entry.key, None) is not None:
            self._ghost_bytes -= taken
            self._main[entry.key] = taken
            self._main_bytes += taken
        else:
            self._small[entry.key] = taken
            self._small_bytes += taken

    def make_room(self) -> None:
        """From the small queue if that has more than a tenth."""
        while self._small_bytes + self._main_bytes > self.capacity_bytes:
            if self._small_bytes > self.capacity_bytes // 10 or not self._main:
                self._from_small()
            else:
                self._from_main()

    def _from_small(self) -> None:
        key, taken = self._small.popitem(last=False)
        self._small_bytes -= taken
        if self._uses[key] > 0:
            self._uses[key] = 0
            self._main[key] = taken
            self._main_bytes += taken
            return
        del self._uses[key]
        self._ghosts[key] = taken
        self._ghost_bytes += taken
        while self._ghost_bytes > self.capacity_bytes:
            self._ghost_bytes -= self._ghosts.popitem(last=False)[1]

    def _from_main(self) -> None:
        key, taken = self._main.popitem(last=False)
        if self._uses[key] > 0:
            self._uses[key] -= 1
            self._main[key] = taken
            return
        self._main_bytes -= taken
        del self._uses[key]
