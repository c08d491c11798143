"""An estimate of the hit ratio at other limits, from a sample of the entries (SHARDS).

An entry that was used is still there at its next use if what was used in between, and itself, fit
below the limit: that is its reuse distance, in bytes. It need not be known of every entry. Whether
one is in the sample is decided by its hash, so that it always is or never is; each that is stands for
as many as the inverse of its chance (Waldspurger et al., 2015, "Efficient MRC Construction with
SHARDS").

The chance grows with the size, up to certainty, since one blob of a gigabyte that stands for a hundred
would be all there is to see. Misses are what is estimated and lookups are counted all, so that a
few entries that are always asked for do not matter, in the sample or not. When there are too many
in the sample, all chances are halved, and half of it is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from gorego_tw.digest import Digest
from gorego_tw.interfaces import ActionKey
from gorego_tw.reuse.recency import Recency
from gorego_tw.storage.local import action_key
from gorego_tw.storage.records import ACTIONS, disk_bytes
from gorego_tw.storage.space import headroom_bytes

#: The limits for which there is an estimate, as parts of the one there is.
LIMITS = (0.5, 1.0, 1.5, 2.0)

#: How many entries are in the sample at most. One takes 320 bytes, so that is 3 MB. With half of it,
#: an estimate is a percent off or two.
MOST_SAMPLES = 8192

#: The chance of a small blob at first: what is in the sample costs 5 µs at each lookup, the others
#: 0.05. An action result has so many times the chance, since few lookups are for one.
CHANCE = 1 / 128
ACTION_FACTOR = 4

#: A blob of more bytes than this has a larger chance: of 128 times as many, certainty.
WEIGHTY_BYTES = 256 * 1024

#: After so many seconds, a lookup counts half: a week, so that nights and weekends are in it.
HALF_LIFE_SECONDS = 7 * 86400.0

#: The last byte of a hash decides first, since that is quick.
_HASH_BYTES = 6
_HASHES = 256.0**_HASH_BYTES


def capacities(limit_bytes: int) -> list[int]:
    """What entries may take, in bytes, at each of LIMITS: the limit without its headroom."""
    limits = [round(limit * limit_bytes) for limit in LIMITS]
    return [limit - headroom_bytes(limit) for limit in limits]


class Counts:
    """Of lookups of one kind.

    :ivar lookups: all of them.
    :ivar misses: how many of them would be misses, at each of LIMITS.
    """

    __slots__ = ("lookups", "misses")

    def __init__(self) -> None:
        self.lookups = 0.0
        self.misses = [0.0] * len(LIMITS)

    def hit_ratios(self) -> list[float]:
        """The part of them that would be hits, at each of LIMITS; nothing if there was none."""
        if self.lookups < 1:
            return []
        return [max(0.0, 1 - misses / self.lookups) for misses in self.misses]

    def scale(self, factor: float) -> None:
        """Let all of them count as much less."""
        self.lookups *= factor
        self.misses = [misses * factor for misses in self.misses]


class Sample(NamedTuple):
    """An entry in the sample: its size as clients know it, and what it takes of the disk, in bytes."""

    size_bytes: int
    taken_bytes: int


class Sketch:
    """What is known of the sample.

    :param capacities: what entries may take, in bytes, at each of LIMITS.
    :param taken: what the entry with that key takes of the disk, in bytes; None if it is not here.
    :param chance: of a small blob, at first.
    :ivar actions: lookups of action results.
    :ivar blobs: lookups of blobs.
    :ivar chance: of a small blob.
    """

    def __init__(
        self,
        capacities: Collection[int],
        taken: Callable[[bytes], int | None],
        chance: float = CHANCE,
        most_samples: int = MOST_SAMPLES,
    ) -> None:
        self.actions = Counts()
        self.blobs = Counts()
        self.chance = chance
        self._capacities = tuple(capacities)
        self._taken = taken
        self._most = most_samples
        # Where the last byte of a hash is not below these, the chance has been missed.
        self._gate = max(1, round(256 * chance))
        self._action_gate = min(256, ACTION_FACTOR * self._gate)
        self._samples: dict[bytes, Sample] = {}
        self._recency = Recency(most_samples)

    def __len__(self) -> int:
        return len(self._samples)

    def look_up_action(self, key: ActionKey) -> bool:
        """An action result is asked for.

        :returns: whether it is to be told by :meth:`use_action` if it is found after all.
        """
        self.actions.lookups += 1
        if key[1][0][-1] >= self._action_gate:
            return False
        return self._look_up(self.actions, action_key(key), 0)

    def look_up(self, digest: Digest) -> bool:
        """A blob is asked for.

        :returns: whether it is to be told by :meth:`use` if it is found after all.
        """
        self.blobs.lookups += 1
        key, size_bytes = digest
        if key[-1] >= self._gate and size_bytes <= WEIGHTY_BYTES:
            return False
        return self._look_up(self.blobs, key, size_bytes)

    def look_up_all(self, digests: Collection[Digest]) -> None:
        """All of those blobs are asked for."""
        self.blobs.lookups += len(digests)
        for digest in self._likely(digests):
            self._look_up(self.blobs, *digest)

    def use_action(self, key: ActionKey) -> None:
        """The action result is here, or on its way, and is used now."""
        if key[1][0][-1] < self._action_gate:
            self._use(action_key(key), 0)

    def use(self, digests: Iterable[Digest]) -> None:
        """Those blobs are here, or on their way, and are used now."""
        for digest in self._likely(digests):
            self._use(*digest)

    def age(self, seconds: float) -> None:
        """So much time has passed, in seconds."""
        for counts in (self.actions, self.blobs):
            counts.scale(0.5 ** (seconds / HALF_LIFE_SECONDS))

    def samples(self) -> list[tuple[bytes, Sample]]:
        """All of them, those first that were not used for longest."""
        return [(key, self._samples[key]) for key in self._recency.keys()]  # noqa: SIM118 - no dict

    def restore(self, chance: float, samples: Iterable[tuple[bytes, Sample]]) -> None:
        """Go on with that sample."""
        self.chance = min(self.chance, chance)
        for key, sample in samples:
            self._move(key, sample, self._chance_of(key, sample.size_bytes))

    def _likely(self, digests: Iterable[Digest]) -> list[Digest]:
        """Those that may be in the sample."""
        gate = self._gate
        return [digest for digest in digests if digest[0][-1] < gate or digest[1] > WEIGHTY_BYTES]

    def _chance_of(self, key: bytes, size_bytes: int) -> float:
        """The chance of an entry, or 0 if it has missed it."""
        at = int.from_bytes(key[-_HASH_BYTES:], "little") / _HASHES
        if key[0] == ACTIONS:
            # Its key is a hash of its digest, by which it has come this far.
            passed = self._action_gate / 256
            chance = min(passed, self.chance * ACTION_FACTOR)
            return chance if at < chance / passed else 0.0
        chance = min(1.0, self.chance * max(1.0, size_bytes / WEIGHTY_BYTES))
        return chance if at < chance else 0.0

    def _look_up(self, counts: Counts, key: bytes, size_bytes: int) -> bool:
        chance = self._chance_of(key, size_bytes)
        if not chance:
            return False
        taken = self._taken(key)
        is_here = taken is not None
        if taken is None and key in self._samples:
            taken = self._samples[key].taken_bytes
        distance = float("inf")
        if taken is not None:
            distance = taken + self._distance(key, Sample(size_bytes, taken), chance)
        weight = 1 / chance
        for place, capacity in enumerate(self._capacities):
            if distance > capacity:
                counts.misses[place] += weight
        return not is_here

    def _distance(self, key: bytes, sample: Sample, chance: float) -> float:
        younger = self._move(key, sample, chance)
        if younger is None:
            # It is here, and was when we began: used before all that we know, but not evicted.
            here = self._capacities[LIMITS.index(1)] - sample.taken_bytes
            return min(self._recency.weight, here)
        return younger

    def _use(self, key: bytes, size_bytes: int) -> None:
        chance = self._chance_of(key, size_bytes)
        if chance:
            taken = self._taken(key)
            taken = disk_bytes(size_bytes) if taken is None else taken
            self._move(key, Sample(size_bytes, taken), chance)

    def _move(self, key: bytes, sample: Sample, chance: float) -> int | None:
        """Make it the youngest; what was younger."""
        if not chance:
            return None
        self._samples[key] = sample
        younger = self._recency.use(key, round(sample.taken_bytes / chance))
        while self._recency.weight > self._capacities[-1] and len(self._samples) > 1:
            del self._samples[self._recency.drop_oldest()]
        if len(self._samples) >= self._most:
            self._halve()
        return younger

    def _halve(self) -> None:
        """Halve all chances, and forget those that miss theirs now."""
        samples = self.samples()
        self.chance /= 2
        self._samples.clear()
        self._recency = Recency(self._most)
        for key, sample in samples:
            chance = self._chance_of(key, sample.size_bytes)
            if chance:
                self._samples[key] = sample
                self._recency.use(key, round(sample.taken_bytes / chance))
