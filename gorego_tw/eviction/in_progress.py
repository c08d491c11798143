"""What builds are at work with: blobs they were told of lately, which eviction spares.

A client that got an action result, or was told that a blob is there, counts on it for the rest of
its build. What was written lately and never asked for is younger, maybe, but nobody counts on it:
except for those who wrote it right now, and little else since.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from gorego_tw.digest import Digest
from gorego_tw.storage.last_use import LastUse
from gorego_tw.storage.taken import blob_bytes

#: How many blobs are pinned at most. One takes some 75 bytes, so that is 20 MB.
MOST_ENTRIES = 262_144

#: How much of the limit is pinned at most. Where more than this is used within the time, pins cost
#: hits of what is younger and not pinned: on traces of continuous integration with an eighth up to
#: 0.3 % of the requests (1.4 % in a cache that nearly everything misses), with a quarter up to 0.8 % (2.6),
#: with half 4.3 % (6). A build that uses more does not push out what others have stored.
SHARE = 1 / 8

#: Pins are given up by generations, of which each has at most this part of the time, of the bytes and
#: of the entries. Two neighbours have more than that together, so there are less than a hundred.
GENERATIONS = 16

#: How long what was written last stays as if it was pinned, in seconds: where all others are pinned it would
#: go as soon as it is there, whoever asks for it next. A part of what may be pinned; more of it is a flood,
#: for which nothing goes that is in use.
FRESH_SECONDS = 5
FRESH_PART = 1 / 2


class Generation:
    """Blobs whose last use was at about the same time.

    :ivar began: when the first of them was noted, in seconds since the epoch.
    :ivar keys: hashes of their keys. Two that are the same pin one blob too many.
    :ivar size_bytes: what they take of the disk.
    """

    __slots__ = ("began", "keys", "size_bytes")

    def __init__(self, began: int) -> None:
        self.began = began
        self.keys: set[int] = set()
        self.size_bytes = 0

    def take(self, other: Generation) -> None:
        """Have those too that were noted later."""
        self.keys |= other.keys
        self.size_bytes += other.size_bytes


class InProgress:
    """The blobs that were asked for in the last ``min_age_seconds``: what answered action results
    refer to above all.

    It learns of them when their last uses are written; those that are not, of the last minute, are
    pinned too and not counted, nor is what is fresh. A restart forgets them all.

    :param last_use: tells of uses.
    :param min_age_seconds: how long a blob is pinned, in seconds; 0 pins nothing.
    :param max_bytes: how much of the disk is pinned at most, in bytes.
    :ivar overflows: how many pins were given up before their time because there were too many.
    :ivar released: how many were given up because there was nothing else to evict.
    """

    def __init__(self, last_use: LastUse, min_age_seconds: float, max_bytes: int) -> None:
        self.overflows = 0
        self.released = 0
        self._last_use = last_use
        self._min_age_seconds = min_age_seconds
        self._max_bytes = max_bytes
        self._generations: deque[Generation] = deque()
        self._given_up_at = -1
        if min_age_seconds:
            last_use.observers.append(self.note)

    @property
    def size_bytes(self) -> int:
        """What is pinned takes so much of the disk, in bytes."""
        self._expire()
        return sum(generation.size_bytes for generation in self._generations)

    def __len__(self) -> int:
        self._expire()
        return sum(len(generation.keys) for generation in self._generations)

    def note(self, digests: Iterable[Digest]) -> None:
        """Those blobs were used."""
        self._expire()
        for digest in digests:
            known, taken = hash(digest.key), blob_bytes(digest.size_bytes)
            for generation in self._generations:
                if known in generation.keys:
                    generation.keys.discard(known)
                    generation.size_bytes -= taken
                    break
            newest = self._newest()
            newest.keys.add(known)
            newest.size_bytes += taken
        self._keep_bounds()
        self._merge()

    def is_pinned(self, key: bytes, used: int) -> bool:
        """Whether the blob with that key is in use, the last time when that says, in seconds since the epoch."""
        if not self._min_age_seconds:
            return False
        if self._last_use.is_pending(key) or self._is_fresh(key, used):
            return self._given_up_at != self._last_use.now
        self._expire()
        known = hash(key)
        return any(known in generation.keys for generation in self._generations)

    def release(self) -> bool:
        """Give up the oldest pins, since there is nothing else to evict; whether there were any."""
        self._expire()
        if self._generations:
            self.released += len(self._generations.popleft().keys)
            return True
        # What is fresh, or was used since the last flush, is all there is.
        given_up_before, self._given_up_at = self._given_up_at, self._last_use.now
        return bool(self._min_age_seconds) and given_up_before != self._given_up_at

    def _is_fresh(self, key: bytes, used: int) -> bool:
        if used <= self._last_use.now - FRESH_SECONDS:
            return False
        return self._last_use.newest.has(key, self._max_bytes * FRESH_PART)

    def _newest(self) -> Generation:
        """The generation of what is used now."""
        newest = Generation(self._last_use.now)
        if self._generations and self._are_one(self._generations[-1], newest):
            return self._generations[-1]
        self._generations.append(newest)
        return newest

    def _are_one(self, older: Generation, newer: Generation) -> bool:
        """Whether they are small enough to be one."""
        return (
            newer.began - older.began < self._min_age_seconds / GENERATIONS
            and older.size_bytes + newer.size_bytes < self._max_bytes / GENERATIONS
            and len(older.keys) + len(newer.keys) < MOST_ENTRIES / GENERATIONS
        )

    def _merge(self) -> None:
        """Make one of neighbours from which most were used again since."""
        merged: deque[Generation] = deque()
        for generation in self._generations:
            if merged and self._are_one(merged[-1], generation):
                merged[-1].take(generation)
            else:
                merged.append(generation)
        self._generations = merged

    def _expire(self) -> None:
        """Forget those of which all are old enough to go."""
        # A generation is as old as its youngest: that is when the next one began, or later.
        oldest = self._last_use.now - self._min_age_seconds
        while len(self._generations) > 1 and self._generations[1].began <= oldest:
            self._generations.popleft()
        span = self._min_age_seconds / GENERATIONS
        if self._generations and self._generations[-1].began + span <= oldest:
            self._generations.clear()

    def _keep_bounds(self) -> None:
        """Give up the oldest until there are not too many, nor too large ones."""
        entries = sum(len(generation.keys) for generation in self._generations)
        size_bytes = sum(generation.size_bytes for generation in self._generations)
        while entries > MOST_ENTRIES or size_bytes > self._max_bytes:
            oldest = self._generations.popleft()
            entries -= len(oldest.keys)
            size_bytes -= oldest.size_bytes
            self.overflows += len(oldest.keys)
