"""The service that keeps the local tier below its limit."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from random import Random
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from gorego_tw.concurrency import Periodic
from gorego_tw.errors import StatusError
from gorego_tw.eviction.admission import Admission
from gorego_tw.eviction.in_progress import InProgress
from gorego_tw.eviction.policy import SampledLRU
from gorego_tw.seldom import Seldom
from gorego_tw.storage.failures import telling
from gorego_tw.storage.tier import LocalTier
from gorego_tw.telemetry.current import recorded

#: How often it looks whether there is something to do, in seconds. A write that needs more than
#: the headroom has left calls it at once.
LOOK_SECONDS = 1.0

#: How long it works at a time, in seconds and in entries: as long as calls have to wait for it. By turns it
#: looks for entries, and evicts as many as it has looked for; with the commit at the end that takes
#: longer only where so few entries do.
SLICE_SECONDS = 0.00015
SLICE_ENTRIES = 64
LEAST_ENTRIES = 2

#: How long a commit will take is known from the last ones: by this part from the very last.
_LAST_COMMIT = 1 / 8

#: How long it leaves to calls after each slice, in seconds, while there is room enough yet for what
#: arrives meanwhile: with no rest every call would wait for a slice.
REST_SECONDS = 0.0015

#: It does not rest any more when so much of the headroom is used up, and somebody wanted room so many seconds
#: ago or less. What calls take between two slices then makes the next one longer, up to so many seconds: it
#: has to keep up with what they store. Who only reads is not to wait, however much there is to evict.
URGENT_SHARE = 0.5
URGENT_WANTED_SECONDS = 1.0
URGENT_PART = 0.25
URGENT_SECONDS = 0.001

#: After it has looked at all entries in vain it does not do so again for so long, in seconds.
WALK_SECONDS = 60.0

#: How much may wait in the trash before eviction waits for it to be emptied, in bytes; and which part of the
#: headroom, where that is less: it does not count as used, and is on the disk. Where the file system lacks files,
#: how many.
MOST_TRASH_BYTES = 256 << 20
TRASH_SHARE = 4
MOST_TRASH_FILES = 16

#: How often it looks for uploads that nobody goes on with, and for files that a crash or a
#: failure left in the trash, in seconds. The first time is at once.
TIDY_SECONDS = 600.0


Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


def nothing_pinned(_: bytes) -> bool:
    """No entry has to stay."""
    return False


def unrecorded(_: str, work: Work) -> Work:
    """The work alone."""
    return work


#: How much time passes between two lines in the log about a file system that is nearly full, in seconds.
TELL_SECONDS = 60.0


class Janitor(Periodic):
    """Evicts what was not used for longest, as long as there is too much.

    Writes never wait for it: it works in slices, each a turn of the reactor.

    :param tier: what it keeps in order.
    :param random: where samples are taken.
    :param pinned: whether the entry with that key must stay.
    :param in_progress: blobs that go after all others.
    :param traced: makes a trace of each run in which there is something to do.
    :ivar in_progress: those blobs.
    :ivar evicted_entries: how many blobs and action results it has evicted.
    :ivar evicted_bytes: how much of the disk they took, in bytes.
    :ivar last_evicted_age_seconds: how long the last one had not been used, in seconds.
    :ivar observe: called after each slice with its entries and bytes.
    """

    def __init__(
        self,
        tier: LocalTier,
        random: Random,
        pinned: Callable[[bytes], bool] = nothing_pinned,
        in_progress: InProgress | None = None,
        traced: Callable[[str, Work], Work] = unrecorded,
    ) -> None:
        super().__init__("eviction", self.make_room, LOOK_SECONDS, tier.clock)
        self.evicted_entries = 0
        self.evicted_bytes = 0
        self.last_evicted_age_seconds = 0
        self.observe: Callable[[int, int], object] = lambda _entries, _bytes: None
        if in_progress is None:
            in_progress = InProgress(tier.last_use, 0, 0)
        self.in_progress = in_progress
        self._tier = tier
        self._clock = tier.clock
        self._space = tier.space
        self._stuck = False
        self._lacking_told = Seldom(TELL_SECONDS, tier.clock, at_once=True)
        self._rested_from = self._chosen_at = tier.clock.seconds()
        self._commit_seconds = 0.0
        self._tidy_at = tier.clock.seconds()
        self._run = traced("Janitor", self._do)
        self._policy = SampledLRU(
            tallies=lambda: tier.index.tallies,
            neighbours=tier.index.neighbours,
            latest=tier.last_use.latest,
            pinned=lambda key, used: pinned(key) or self.in_progress.is_pinned(key, used),
            random=random,
        )
        self._walking = self._policy.walk()
        self._walk_found = False
        self._walk_again_at = float("-inf")

    def startService(self) -> None:
        """Begin to look, and to listen to who needs room, which who waits for it gets."""
        super().startService()
        self._space.crowded = self.wake
        admission = Admission(self._space, self._clock)
        self._space.room, self._space.freed = admission.admit, admission.look
        self._space.evicts = True

    def stopService(self) -> Deferred[object]:
        """Evict no more; nobody waits for it."""
        ended = super().stopService()
        self._space.evicts = False
        self._space.freed()
        return ended

    async def make_room(self) -> None:
        """Evict until there is no excess, nothing is left, or the service is stopped."""
        if self._space.evictable_bytes > 0 or self._space.doomed_bytes or self._is_untidy:
            await self._run()
        else:
            self._space.made_room()
            await self._take_ballast()

    async def _do(self) -> None:
        entries, freed = self.evicted_entries, self.evicted_bytes
        with recorded("Janitor.Tidy"):
            await self._tidy()
        with recorded("Janitor.Evict") as span:
            if self._tier.set_aside.size_bytes and self._space.evictable_bytes > 0:
                await self._tier.threads.run(self._tier.set_aside.remove)
            with suppress(OSError):  # of a folder that cannot be read nothing goes
                await self._tier.uploads.make_room()
            nothing_left = await self._evict()
            if span is not None:
                span.set("gorego.evicted.files", self.evicted_entries - entries)
                span.set("gorego.evicted.bytes", self.evicted_bytes - freed)
        if self._space.doomed_bytes:
            with recorded("Janitor.EmptyTrash"):
                await self._tier.empty_trash()
        self._space.made_room(nothing_left=nothing_left)

    def _tell_if_lacking(self) -> None:
        """Whether it is the file system that is nearly full, which the limit was to prevent."""
        if not self._lacking_told.due:
            return
        lacking = (self._space.lacking_bytes, "bytes"), (self._space.lacking_files, "files")
        for count, unit in lacking:
            if count > 0:
                self._lacking_told.done()
                self._log.warn(
                    "the file system has {lacking} {unit} too few left: entries are evicted for it; free some, or "
                    "lower local_cache.max_size_gb",
                    lacking=count,
                    unit=unit,
                )

    async def _evict(self) -> bool:
        """Evict; whether nothing was found any more that may go, though there is too much yet."""
        tried = False
        self._rested_from = self._clock.seconds()
        while self.running and (excess := self._space.evictable_bytes) > 0:
            self._tell_if_lacking()
            is_urgent = self._is_urgent(excess)
            if not self._policy.samples_ahead:
                self._look(self._slice_end(is_urgent=is_urgent))
                await self._rest(is_urgent=is_urgent)
                continue
            try:
                evicted = self._evict_slice(excess, self._slice_end(is_urgent=is_urgent))
                # Pins go only when there is really nothing else.
                if not evicted and not await self._walk() and not self.in_progress.release():
                    return True
            except StatusError as error:  # LMDB has EIO for a write that was cut short, too
                if tried:
                    self._tell_stuck(error)
                    break
                tried = True
                await self._find_pages()
                continue
            tried = False
            self._space.freed()
            if self._is_trash_full:
                await self._tier.empty_trash()
            await self._rest(is_urgent=is_urgent)
        return False

    @property
    def _is_trash_full(self) -> bool:
        space = self._space
        if space.doomed_bytes > min(MOST_TRASH_BYTES, space.headroom_bytes // TRASH_SHARE):
            return True
        lacks_files = space.lacking_files + space.doomed_files > 0
        return lacks_files and space.doomed_files >= MOST_TRASH_FILES

    async def _walk(self) -> bool:
        """Look at one entry after the other, where hardly any may go; whether eviction can go on."""
        if self._clock.seconds() < self._walk_again_at:
            return False
        end = self._slice_end(is_urgent=True)
        for found in self._walking:
            self._walk_found |= found
            if found:
                return True
            if self._clock.seconds() >= end:
                await self._rest(is_urgent=True)
                if not self.running or self._space.evictable_bytes <= 0:
                    return True
                end = self._slice_end(is_urgent=True)
        found, self._walk_found = self._walk_found, False
        self._walking = self._policy.walk()
        if not found:
            self._walk_again_at = self._clock.seconds() + WALK_SECONDS
        return found

    def _is_urgent(self, excess_bytes: int) -> bool:
        wanted = self._clock.seconds() - self._space.crowded_at <= URGENT_WANTED_SECONDS
        return wanted and excess_bytes > self._space.headroom_bytes * URGENT_SHARE

    def _slice_end(self, *, is_urgent: bool) -> float:
        """Until when the slice may take that begins now, in seconds since the epoch."""
        now = self._clock.seconds()
        if not is_urgent:
            return now + SLICE_SECONDS
        calls = now - self._rested_from
        return now + max(SLICE_SECONDS, min(calls * URGENT_PART, URGENT_SECONDS))

    async def _rest(self, *, is_urgent: bool) -> None:
        """Leave the time to calls that wait."""
        self._rested_from = self._clock.seconds()
        await deferLater(self._clock, 0 if is_urgent else REST_SECONDS)

    async def _find_pages(self) -> None:
        """Let the index have something to write to: its own free pages, and new ones."""
        self._tier.ballast.throw()
        with suppress(StatusError):
            await self._tier.checkpoint()

    def _tell_stuck(self, error: StatusError) -> None:
        """Others have filled the disk up so that not even the index can be written."""
        self.failures += 1
        if not self._stuck:
            self._log.warn("nothing can be evicted for now: {error}", error=error.message)
        self._stuck = True

    def _look(self, end: float) -> None:
        """Look for entries to evict."""
        for _ in range(SLICE_ENTRIES):
            if not self._policy.look() or self._clock.seconds() >= end:
                break

    def _evict_slice(self, excess_bytes: int, end: float) -> int:
        """Evict some entries; how many."""
        before = self.evicted_entries
        try:
            freed = self._tier.inventory.evict(self._oldest(end), excess_bytes)
        except StatusError:
            self.evicted_entries = before
            raise
        self._stuck = False
        # Never more than a slice may take: a clock that was set, or a disk that was slow once, is no rule.
        commit = min(max(0.0, self._clock.seconds() - self._chosen_at), URGENT_SECONDS)
        self._commit_seconds += _LAST_COMMIT * (commit - self._commit_seconds)
        entries = self.evicted_entries - before
        self.evicted_bytes += freed
        self.observe(entries, freed)
        return entries

    def _oldest(self, end: float) -> Iterator[bytes]:
        """The keys of one slice, as they are asked for, each once."""
        end -= self._commit_seconds
        self._chosen_at = self._clock.seconds()
        chosen: set[bytes] = set()
        while self._policy.samples_ahead:
            candidate = self._policy.oldest()
            if candidate is None:
                return
            self._chosen_at = self._clock.seconds()
            # What was evicted in this transaction is still seen by those who read.
            if candidate.key not in chosen:
                chosen.add(candidate.key)
                self.evicted_entries += 1
                self._tier.evicted.add(candidate.key)
                age = self._tier.last_use.now - candidate.last_used
                self.last_evicted_age_seconds = max(0, age)
                yield candidate.key
            if self._chosen_at >= end and len(chosen) >= LEAST_ENTRIES:
                return

    async def _take_ballast(self) -> None:
        ballast = self._tier.ballast
        lacking = ballast.size_bytes + self._space.free_reserve_bytes
        if not ballast.held and self._space.free_bytes > lacking:
            with telling():
                await self._tier.threads.run(ballast.take)

    @property
    def _is_untidy(self) -> bool:
        return self._clock.seconds() >= self._tidy_at

    async def _tidy(self) -> None:
        if self._is_untidy:
            self._tidy_at = self._clock.seconds() + TIDY_SECONDS
            await self._tier.uploads.drop_abandoned()
            await self._tier.empty_trash()
