"""Caches that a trace is replayed against: they count what they had.

All of them count what an entry takes in the same way: what its file would take of the disk.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bench.ci_trace import BEGIN, Entry, Request
from gorego_tw.eviction.in_progress import SHARE, InProgress
from gorego_tw.eviction.policy import SampledLRU
from gorego_tw.interfaces import StoredActionResult
from gorego_tw.settings import MIN_AGE_SECONDS
from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.storage.records import ACTIONS, FILE, BlobRecord, disk_bytes, pack_action
from gorego_tw.storage.tier import LocalTier

_RESULT = StoredActionResult(b"", ())


class Replayed:
    """A cache of so many bytes, empty at first.

    :ivar requests: how many there were; ``hits`` had all of their entries there.
    :ivar asked_bytes: what they asked for, of which ``hit_bytes`` were there.
    :ivar looked_up: how often an action result (True) or a blob (False) itself was looked up, and
        how often it was ``found``.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.requests = self.hits = self.asked_bytes = self.hit_bytes = 0
        self.looked_up = {True: 0, False: 0}
        self.found = {True: 0, False: 0}

    def replay(self, requests: Iterable[Request]) -> None:
        """Ask for all of that, and store what is not there."""
        for time, entries in requests:
            self.proceed(time)
            missed = False
            self.look_up(entries[0])
            for entry in entries:
                self.asked_bytes += entry.size_bytes
                if self.use(entry):
                    self.hit_bytes += entry.size_bytes
                else:
                    missed = True
                    self.store(entry)
            self.requests += 1
            self.hits += not missed
            if missed:
                self.make_room()

    @property
    def hit_ratio(self) -> float:
        """The part of the requests that were hits."""
        return self.hits / self.requests

    @property
    def byte_hit_ratio(self) -> float:
        """The part of the bytes that were there."""
        return self.hit_bytes / self.asked_bytes

    def proceed(self, time: float) -> None:
        """It is so late now, in seconds since the epoch."""

    def look_up(self, entry: Entry) -> None:
        """The first entry of a request is asked for; the others are used with it."""
        kind = entry.action is not None
        self.looked_up[kind] += 1
        self.found[kind] += self.has(entry)

    def has(self, entry: Entry) -> bool:
        """Whether the entry is there."""
        raise NotImplementedError

    def use(self, entry: Entry) -> bool:
        """Whether the entry is there; it is used then."""
        raise NotImplementedError

    def store(self, entry: Entry) -> None:
        """Keep the entry, which is not there."""
        raise NotImplementedError

    def make_room(self) -> None:
        """Evict until no more is kept than may be."""
        raise NotImplementedError


class ExactLRU(Replayed):
    """In memory, evicting what was not used for longest."""

    def __init__(self, capacity_bytes: int) -> None:
        super().__init__(capacity_bytes)
        self._kept: OrderedDict[bytes, int] = OrderedDict()
        self._used_bytes = 0

    def has(self, entry: Entry) -> bool:
        """Whether it is there."""
        return entry.key in self._kept

    def use(self, entry: Entry) -> bool:
        """Whether it is there."""
        if entry.key not in self._kept:
            return False
        self._kept.move_to_end(entry.key)
        return True

    def store(self, entry: Entry) -> None:
        """Keep it."""
        self._kept[entry.key] = taken = disk_bytes(entry.size_bytes)
        self._used_bytes += taken

    def make_room(self) -> None:
        """The oldest go."""
        while self._used_bytes > self.capacity_bytes:
            self._used_bytes -= self._kept.popitem(last=False)[1]


class Tier(Replayed):
    """The inventory of a local tier, and the policy of the janitor; no file has anything in it.

    :param folder: where the index is.
    :param min_age_seconds: for how long what is used is pinned, in seconds.
    :ivar in_progress: what is pinned.
    """

    def __init__(
        self, capacity_bytes: int, folder: Path, min_age_seconds: float = MIN_AGE_SECONDS
    ) -> None:
        super().__init__(capacity_bytes)
        self._clock = Clock()
        self._clock.advance(BEGIN)
        self.tier = tier = LocalTier.open(
            folder,
            limit_bytes=1 << 40,
            free_reserve_bytes=0,
            clock=self._clock,
            threads=NoDiskThreads(),
        )
        self.in_progress = InProgress(tier.last_use, min_age_seconds, int(SHARE * capacity_bytes))
        self._policy = SampledLRU(
            tallies=lambda: tier.index.tallies,
            neighbours=tier.index.neighbours,
            latest=tier.last_use.latest,
            pinned=self.in_progress.is_pinned,
            random=Random(1),
        )

    async def close(self) -> None:
        """Let go of the folder."""
        await self.tier.close()

    @property
    def used_bytes(self) -> int:
        """What is kept."""
        tallies = self.tier.index.tallies
        files = sum(tally.file_bytes for tally in tallies.values())
        actions = tallies.get(ACTIONS)
        return files + (actions.entries * disk_bytes(1) if actions else 0)

    def has(self, entry: Entry) -> bool:
        """Whether it is there."""
        return self.taken(entry.key) is not None

    def taken(self, key: bytes) -> int | None:
        """What the entry with that key takes, if it is there."""
        index = self.tier.index
        if key[0] == ACTIONS:
            return None if index.action(key) is None else disk_bytes(1)
        found = index.blob(key)
        return None if found is None else disk_bytes(found[0].size_bytes)

    def proceed(self, time: float) -> None:
        """Seconds pass, and last uses are written."""
        self._clock.advance(max(0.0, time - self._clock.seconds()))
        last_use = self.tier.last_use
        last_use.tick()
        while last_use.due and last_use.flush_slice():
            pass
        if self.tier.checkpoints.due:  # else pages that were freed would never be used again
            Deferred.fromCoroutine(self.tier.checkpoint())

    def use(self, entry: Entry) -> bool:
        """Whether it is there."""
        is_here = self.has(entry)
        if is_here:
            self.tier.last_use.touch(entry.key)
        return is_here

    def store(self, entry: Entry) -> None:
        """Keep it."""
        now = self.tier.last_use.now
        with self.tier.index.write() as txn:
            if entry.action:
                txn.put_action(entry.key, pack_action(_RESULT, now))
            else:
                txn.put_blob(entry.key, BlobRecord(now, FILE, entry.size_bytes, 0))

    def make_room(self) -> None:
        """Those go that the policy chooses."""
        while self.used_bytes > self.capacity_bytes:
            candidate = self._policy.oldest()
            if candidate is not None:
                self.tier.inventory.evict([candidate.key])
            else:
                self.in_progress.release()
