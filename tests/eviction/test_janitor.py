"""Keeping the local tier below its limit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from gorego_tw.digest import Digest
from gorego_tw.errors import ResourceExhausted, Unavailable
from gorego_tw.eviction.in_progress import InProgress
from gorego_tw.eviction.janitor import (
    LEAST_ENTRIES,
    LOOK_SECONDS,
    MOST_TRASH_FILES,
    REST_SECONDS,
    SLICE_SECONDS,
    URGENT_PART,
    URGENT_SECONDS,
    URGENT_WANTED_SECONDS,
    Janitor,
    nothing_pinned,
)
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.disk_threads import HeldDiskThreads
from gorego_tw.storage.pending import Pending
from gorego_tw.storage.records import disk_bytes
from gorego_tw.storage.tier import LocalTier
from gorego_tw.storage.uploads import ABANDONED_SECONDS, WAITING_BYTES
from tests.storage.tiers import LIMIT_BYTES, TierTestCase, blob, open_files, put, read

LIMIT = 4_000_000


class JanitorTestCase(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.employ(self.reopen(LIMIT))

    def employ(
        self,
        tier: LocalTier,
        pinned: Callable[[bytes], bool] = nothing_pinned,
        in_progress: InProgress | None = None,
    ) -> None:
        """Start a janitor, stopped before the tier is closed."""
        self.janitor = Janitor(tier, Random(1), pinned, in_progress)
        self.janitor.startService()
        janitor = self.janitor
        self.addCleanup(lambda: janitor.running and janitor.stopService())

    async def employ_another(self, pending: Pending) -> None:
        """Have a janitor that leaves alone what is pending."""
        await self.janitor.stopService()
        self.employ(self.tier, pending.is_pinned)

    def employ_pinning(self) -> None:
        """Have a janitor that may evict nothing."""
        self.successResultOf(self.janitor.stopService())
        self.employ(self.tier, lambda _: True)

    def work(self, seconds: float = LOOK_SECONDS) -> None:
        """Let it do what it has to."""
        self.clock.advance(seconds)
        self.tier.last_use.tick()
        self.clock.pump([REST_SECONDS] * 300)

    def fill(self, count: int, size_bytes: int = 90_000, seed: int = 0) -> list[Digest]:
        """Put blobs, one each second."""
        digests = []
        for number in range(count):
            self.tier.last_use.now += 1
            digests.append(self.put(size_bytes, seed + number)[0])
        return digests

    def pass_through(self, count: int, seed: int = 0) -> None:
        """Put blobs, with time for the janitor after each."""
        for number in range(count):
            self.fill(1, seed=seed + number)
            self.work()

    def missing(self, digests: list[Digest]) -> list[Digest]:
        return self.successResultOf(self.tier.blobs.find_missing(digests))

    @property
    def mark(self) -> int:
        return self.tier.space.limit_bytes - self.tier.space.headroom_bytes


class JanitorTests(JanitorTestCase):
    def test_interface(self) -> None:
        """It is a service."""
        verifyObject(IService, self.janitor)

    def test_nothing_to_do(self) -> None:
        """What fits stays."""
        digests = self.fill(20)
        self.work()
        self.assertEqual(self.missing(digests), [])
        self.assertEqual(self.janitor.evicted_entries, 0)

    def test_brings_the_usage_under_the_limit(self) -> None:
        """With more than the limit less the headroom, it evicts as much as is needed, not more."""
        digests = self.fill(42)
        self.assertGreater(self.tier.space.used_bytes, self.mark)
        self.work()
        self.assertLessEqual(self.tier.space.used_bytes, self.mark)
        self.assertGreater(self.tier.space.used_bytes, self.mark - 100_000)
        gone = self.missing(digests)
        self.assertEqual(self.janitor.evicted_entries, len(gone))
        self.assertEqual(self.janitor.evicted_bytes, len(gone) * 90_112)
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(self.tier.space.doomed_bytes, 0)

    def test_keeps_what_is_used(self) -> None:
        """A set of blobs in use survives while three times the limit passes through."""
        hot = self.fill(10)
        for turn in range(30):
            self.tier.last_use.now += 10
            self.assertEqual(self.missing(hot), [])
            self.pass_through(5, seed=1000 + 5 * turn)
        self.assertEqual(self.missing(hot), [])
        self.assertGreater(self.janitor.evicted_entries, 100)

    def test_small_blobs_and_action_results(self) -> None:
        """What is in the index goes as well as files."""
        for number in range(1500):
            result = StoredActionResult(b"x" * 1000, ())
            key = ActionKey("", blob(10, number)[0])
            self.successResultOf(self.tier.action_results.put(key, result))
        self.work()
        before = dict(self.tier.index.tallies)
        self.pass_through(15)
        self.assertLess(self.tier.index.tallies[0].entries, before[0].entries)
        self.assertLessEqual(self.tier.space.used_bytes, self.mark)

    def test_age(self) -> None:
        """It tells how long the last evicted one had not been used."""
        self.fill(40)
        self.tier.last_use.now += 1000
        self.fill(2, seed=500)
        self.work()
        self.assertTrue(1000 <= self.janitor.last_evicted_age_seconds <= 1042)

    def test_pinned(self) -> None:
        """What is to be uploaded stays, however old it is, until it was."""
        pinned = self.fill(10)
        pending = Pending(self.tier.environment, self.clock, max_bytes=1 << 30)
        for digest in pinned:
            pending.add_blob(digest)
        self.successResultOf(Deferred.fromCoroutine(self.employ_another(pending)))
        self.pass_through(60, seed=1000)
        self.assertEqual(self.missing(pinned), [])
        self.assertGreater(self.janitor.evicted_entries, 20)
        for digest in pinned:
            pending.done(digest.key)
        self.tier.last_use.now += 1
        self.pass_through(120, seed=2000)
        self.assertEqual(self.missing(pinned), pinned)

    def test_everything_pinned(self) -> None:
        """Where everything is to be uploaded there is no room, until something was."""
        pending = Pending(self.tier.environment, self.clock, max_bytes=1 << 30)
        self.successResultOf(Deferred.fromCoroutine(self.employ_another(pending)))
        pinned = self.fill(43)
        for digest in pinned:
            pending.add_blob(digest)
        self.work()
        self.assertEqual(self.janitor.evicted_entries, 0)
        digest, data = blob(200_000, 99)
        self.failureResultOf(put(self.tier.blobs, digest, data), ResourceExhausted)
        self.work()
        self.assertEqual(self.missing(pinned), [])
        for done in pinned[:5]:
            pending.done(done.key)
        self.failureResultOf(put(self.tier.blobs, digest, data), ResourceExhausted)
        self.work()
        self.successResultOf(put(self.tier.blobs, digest, data))
        self.assertEqual(self.missing(pinned[5:]), [])

    def test_hardly_anything_to_go(self) -> None:
        """A few entries among very many that are pinned are found before pins are given up."""
        old = self.fill(8, 300_000)
        self.tier.last_use.now += 1000
        pins = InProgress(self.tier.last_use, 10_000, LIMIT)
        digests = [self.put(10, number)[0] for number in range(2000)]
        pins.note(digests)
        self.successResultOf(self.janitor.stopService())
        self.employ(self.tier, in_progress=pins)
        self.tier.space.limit_bytes -= 2_000_000
        self.work(LOOK_SECONDS)
        self.assertGreaterEqual(len(self.missing(old)), 4)
        self.assertEqual(self.missing(digests), [])
        self.assertEqual(pins.released, 0)

    def test_looked_for_in_vain(self) -> None:
        """Where nothing may go all entries are looked at once, and not again for a while."""
        self.successResultOf(self.janitor.stopService())
        self.fill(43)
        looks: list[bytes] = []

        def look(key: bytes) -> bool:
            looks.append(key)
            return True

        self.employ(self.tier, look)
        self.work()
        once = len(looks)
        self.work()
        self.assertLessEqual(len(looks), 2 * once - 43)
        self.assertGreaterEqual(len(set(looks)), 43)

    def test_observer(self) -> None:
        """Who counts is told of each slice."""
        seen: list[tuple[int, int]] = []
        self.janitor.observe = lambda entries, evicted: seen.append((entries, evicted))
        self.fill(42)
        self.work()
        self.assertEqual(sum(entries for entries, _ in seen), self.janitor.evicted_entries)
        self.assertEqual(sum(evicted for _, evicted in seen), self.janitor.evicted_bytes)

    def test_everything_promised(self) -> None:
        """Room that is promised and not yet taken is made too."""
        self.fill(30)
        upload = self.successResultOf(self.tier.uploads.open("large", blob(1_200_000)[0]))
        self.work()
        self.assertLessEqual(self.tier.space.used_bytes + 1_200_000, self.mark + 4096)
        self.successResultOf(upload.abandon())

    def test_abandoned_uploads(self) -> None:
        """Uploads that nobody goes on with are deleted."""
        upload = self.successResultOf(self.tier.uploads.open("name", blob(100_000)[0]))
        self.successResultOf(upload.write(b"x" * 1000))
        self.successResultOf(upload.suspend())
        (path,) = (self.folder / "uploads").iterdir()
        os.utime(path, (0, 0))
        self.work(2 * ABANDONED_SECONDS)
        self.assertEqual(self.left_behind(), [])

    def test_broken_off_uploads(self) -> None:
        """Those that were broken off go before anything that is whole."""
        digests = self.fill(30)
        for number in range(12):
            digest, data = blob(200_000, number)
            upload = self.successResultOf(self.tier.uploads.open(f"{number}", digest))
            self.successResultOf(upload.write(data[:150_000]))
            self.successResultOf(upload.suspend())
            for path in (self.folder / "uploads").iterdir():
                os.utime(path, (0, self.clock.seconds() - 20))
            self.work()
        self.assertEqual(self.missing(digests), [])
        self.assertGreater(self.tier.uploads.abandoned, 3)
        self.assertLessEqual(self.tier.space.used_bytes, self.mark)


class BurstTests(JanitorTestCase):
    def begin(self, size_bytes: int, seed: int = 0) -> Deferred[None]:
        """Begin to put a blob."""
        return Deferred.fromCoroutine(put(self.tier.blobs, *blob(size_bytes, seed)))

    def test_burst_waits(self) -> None:
        """Uploads faster than eviction wait until it has been at work; but no large streams."""
        puts = [self.begin(90_000, seed) for seed in range(80)]
        action = ActionKey("", blob(1)[0])
        result = StoredActionResult(b"result", ())
        kept = Deferred.fromCoroutine(self.tier.action_results.put(action, result))
        upload = Deferred.fromCoroutine(self.tier.uploads.open("one", blob(WAITING_BYTES, 999)[0]))
        self.assertLessEqual(self.tier.space.used_bytes, LIMIT)
        waiting: list[Deferred[Any]] = [one for one in puts if not one.called]
        self.assertGreater(len(waiting), 30)
        waiting += [kept, upload]
        for one in waiting:
            self.assertNoResult(one)
        self.work(0)
        for one in waiting:
            self.successResultOf(one)
        self.fill(3, seed=2000)
        large = self.tier.uploads.open("two", blob(500_000)[0])
        self.failureResultOf(Deferred.fromCoroutine(large), ResourceExhausted)
        self.assertLessEqual(self.tier.space.used_bytes, LIMIT)
        self.assertEqual(self.tier.space.refusals, 1)

    def test_large_action_result(self) -> None:
        """An action result waits for the room that its references take, too."""
        self.fill(43)
        outputs = tuple(blob(10, number)[0] for number in range(5000))
        result = StoredActionResult(b"result", outputs)
        action = ActionKey("", blob(1)[0])
        kept = Deferred.fromCoroutine(self.tier.action_results.put(action, result))
        self.assertNoResult(kept)
        self.work(0)
        self.successResultOf(kept)

    def test_resumed(self) -> None:
        """For an upload that is gone on with no more goes than what is left of it needs."""
        digest, data = blob(2_900_000)
        upload = self.successResultOf(self.tier.uploads.open("one", digest))
        self.successResultOf(upload.write(data[:2_800_000]))
        self.successResultOf(upload.suspend())
        self.fill(10, seed=1)
        again = self.tier.uploads.open("one", digest)
        self.work(0)
        self.assertEqual(self.successResultOf(again).committed_size, 2_800_000)
        self.assertLess(self.janitor.evicted_entries, 4)

    def test_end(self) -> None:
        """Who waits when it ends waits no more."""
        puts = [self.begin(90_000, seed) for seed in range(60)]
        waiting = [one for one in puts if not one.called]
        self.assertGreater(len(waiting), 10)
        self.successResultOf(self.janitor.stopService())
        for one in waiting:
            self.failureResultOf(one, ResourceExhausted)

    def test_wakes_up(self) -> None:
        """Who needs the headroom does not have to wait for the next look."""
        self.fill(43)
        self.assertGreater(self.tier.space.used_bytes, self.mark)
        self.work(0)
        self.assertLessEqual(self.tier.space.used_bytes, self.mark)

    def test_more_than_the_headroom(self) -> None:
        """A large blob finds room, however little is kept free."""
        self.fill(40)
        large = self.begin(2_000_000)
        self.assertNoResult(large)
        self.work(0)
        self.successResultOf(large)
        self.assertEqual(self.tier.space.wanted_bytes, 0)

    def test_largest(self) -> None:
        """The largest blob that is taken stays, and a larger one evicts nothing."""
        size_bytes = self.tier.space.largest_bytes // 4096 * 4096
        larger, data = blob(size_bytes + 1)
        self.fill(10)
        self.failureResultOf(put(self.tier.blobs, larger, data), ResourceExhausted)
        self.work()
        self.assertEqual(self.janitor.evicted_entries, 0)
        largest = self.begin(size_bytes)
        self.work()
        self.successResultOf(largest)
        self.work()
        self.assertEqual(self.missing([blob(size_bytes)[0]]), [])


class UnknownFilesTests(JanitorTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.pass_through(50)
        self.successResultOf(self.janitor.stopService())
        self.close_tier(self.tier)
        (self.folder / "index" / "data.mdb").write_bytes(b"")
        self.threads = HeldDiskThreads()
        self.employ(self.open_tier(LIMIT, self.threads))
        self.tier.reconciliation.startService()
        self.addCleanup(self.compare)
        while not self.tier.reconciliation.progress:
            self.step()

    def step(self) -> None:
        """Let index and files be compared a little, and the janitor do what it has to."""
        if self.threads.held:
            self.threads.held.pop(0)()
        self.work()

    def compare(self) -> None:
        """Compare them to the end."""
        while self.tier.inventory.doubt is not None:
            self.step()
        self.successResultOf(self.tier.reconciliation.stopService())

    def try_to_put(self, seed: int) -> Digest | None:
        """Put another blob, and let the comparison go on meanwhile; None if it is refused."""
        self.tier.last_use.now += 1
        digest, data = blob(90_000, seed)
        kept = Deferred.fromCoroutine(put(self.tier.blobs, digest, data))
        while not kept.called:
            self.step()
        if isinstance(kept.result, Failure):
            self.failureResultOf(kept, ResourceExhausted)
            self.step()
            return None
        return digest

    @property
    def taken_bytes(self) -> int:
        """What all files of blobs take of the disk."""
        return sum(
            disk_bytes(path.stat().st_size)
            for path in (self.folder / "cas").rglob("*")
            if path.is_file()
        )

    def test_limit(self) -> None:
        """While an index is made anew the limit is kept, and what is written is not evicted for what is not known."""
        written: list[Digest] = []
        refused = 0
        for seed in range(1000, 1400):
            digest = self.try_to_put(seed)
            self.assertLessEqual(self.taken_bytes, LIMIT)
            if digest is None:
                refused += 1
            else:
                written.append(digest)
                self.assertEqual(self.tier.inventory.missing(written[-2:]), [])
        self.assertGreater(len(written), 20)
        self.assertLess(refused, 200)
        self.compare()
        self.assertEqual(self.tier.inventory.missing(written[-20:]), [])
        self.assertIsNotNone(self.try_to_put(2000))


class SliceTests(JanitorTestCase):
    def setUp(self) -> None:
        """A janitor for which time passes with each entry it considers, and who notes its slices."""
        super().setUp()
        self.reopen(LIMIT_BYTES)
        self.slices: list[int] = []

    def begin(self, headroom_bytes: int, wanted_seconds: float = 10.0) -> None:
        """Let there be far too much, of which so much is no reason to hurry, for somebody who wants room
        until so many seconds from now.
        """
        self.successResultOf(self.janitor.stopService())
        self.fill(30)
        self._neighbours = self.tier.index.neighbours
        patch = self.patch(self.tier.index, "neighbours", self.takes_time)
        self.employ(self.tier)
        patch.restore()
        self.janitor.observe = lambda entries, _: self.slices.append(entries)
        space = self.tier.space
        space.headroom_bytes = headroom_bytes
        space.limit_bytes = headroom_bytes
        space.crowded_at = self.clock.seconds() + wanted_seconds

    def takes_time(self, start: bytes, count: int) -> list[tuple[bytes, int]]:
        """A little less than half a slice, if it is a last look at one entry."""
        if count == 1:
            self.clock.rightNow += SLICE_SECONDS * 0.45
        return self._neighbours(start, count)

    def after(self, seconds: float) -> int:
        """How many entries have been evicted by then."""
        self.clock.advance(seconds)
        return self.janitor.evicted_entries

    def test_no_longer_than_a_slice(self) -> None:
        """A slice ends with the entry at which its time is over."""
        self.begin(0)
        self.after(LOOK_SECONDS)
        self.assertEqual(set(self.slices[1:-1]), {3})

    def test_commit(self) -> None:
        """What the commit at its end is expected to take belongs to the slice, in which a few go all the same."""
        self.begin(0)
        evict = self.tier.inventory.evict

        def committing(keys: Iterable[bytes], enough_bytes: float) -> int:
            freed = evict(keys, enough_bytes)
            self.clock.rightNow += SLICE_SECONDS * 0.5
            return freed

        self.patch(self.tier.inventory, "evict", committing)
        self.after(LOOK_SECONDS)
        self.assertEqual(self.slices[1], 3)
        self.assertEqual(self.slices[-2], LEAST_ENTRIES)

    def test_enough(self) -> None:
        """A slice that was broken off because enough is free says nothing of how long commits take."""
        self.begin(0)
        self.tier.space.limit_bytes = self.tier.space.used_bytes - 1
        self.assertEqual(self.after(LOOK_SECONDS), 1)
        self.tier.space.limit_bytes = 0
        self.after(LOOK_SECONDS)
        self.assertEqual(self.slices[1], 3)

    def test_trash(self) -> None:
        """It goes on when the files of what it has evicted are gone, if they take much of a small headroom."""
        doomed: list[int] = []
        self.begin(1_000_000)
        self.janitor.observe = lambda *_: doomed.append(self.tier.space.doomed_bytes)
        self.work()
        self.assertEqual(doomed[:3], [3 * disk_bytes(90_000)] * 3)

    def test_rests(self) -> None:
        """While there is room enough it rests after it has looked, and after each slice."""
        self.begin(LIMIT_BYTES)
        self.assertEqual(self.after(LOOK_SECONDS), 0)
        self.assertEqual(self.after(REST_SECONDS * 0.6), 0)
        self.assertEqual(self.after(REST_SECONDS * 0.6), 3)
        self.assertEqual(self.after(0), 3)
        self.assertEqual(self.after(REST_SECONDS), 6)

    def test_nobody_wants_room(self) -> None:
        """It rests too if nobody has wanted room lately, however much there is to evict."""
        self.begin(0, -URGENT_WANTED_SECONDS)
        self.assertEqual(self.after(LOOK_SECONDS), 0)
        self.assertEqual(self.after(REST_SECONDS * 0.6), 0)
        self.assertEqual(self.after(REST_SECONDS * 0.6), 3)
        self.tier.space.crowded_at = self.clock.seconds()
        self.after(REST_SECONDS)
        self.assertGreater(self.after(REST_SECONDS / 10), 6)

    def test_keeps_up_with_calls(self) -> None:
        """When room is short, a slice is the longer the longer calls have taken since the last one, up
        to a bound.
        """
        self.begin(0)
        self.clock.callLater(LOOK_SECONDS, self.call, 3 * SLICE_SECONDS / URGENT_PART)
        self.after(LOOK_SECONDS)
        self.assertEqual(set(self.slices[1:-1]), {7})

    def test_keeps_up_within_bounds(self) -> None:
        """However long calls take, they wait for eviction no longer than that."""
        self.begin(0)
        self.clock.callLater(LOOK_SECONDS, self.call, 1.0)
        self.after(LOOK_SECONDS)
        self.assertEqual(self.slices[1], 1 + URGENT_SECONDS // (0.45 * SLICE_SECONDS))

    def call(self, seconds: float) -> None:
        """A call that takes so long, and another one after it."""
        self.clock.rightNow += seconds
        if sum(self.slices) < 25:
            self.clock.callLater(0, self.call, seconds)


class TroubleTests(JanitorTestCase):
    def test_survives_its_failures(self) -> None:
        """A failure is told and counted, and the next look happens."""
        self.fill(42)
        evict = self.tier.inventory.evict

        def fail(*_: object) -> int:
            raise Unavailable("index")

        patch = self.patch(self.tier.inventory, "evict", fail)
        self.work()
        self.assertEqual(self.janitor.failures, 1)
        self.assertEqual(self.janitor.evicted_entries, 0)
        patch.restore()
        self.assertEqual(self.tier.inventory.evict, evict)
        self.work()
        self.assertLessEqual(self.tier.space.used_bytes, self.mark)

    def test_lacking_bytes(self) -> None:
        """Where others have filled the disk, the oldest blobs make room on it, and it is told."""
        digests = self.fill(5)
        free = self.patch(self.tier.space, "_free", lambda: 0)
        self.tier.space.free_reserve_bytes = self.tier.index.file_bytes // 2
        with capturedLogs() as logs:
            self.clock.advance(2)
            self.work()
        free.restore()
        self.assertIn(digests[0], self.missing(digests))
        self.assertNotIn(digests[-1], self.missing(digests))
        told = [text for event in logs if "too few" in (text := formatEvent(event))]
        self.assertIn("entries are evicted", told[0])

    def test_lacking_files(self) -> None:
        """Where there are too few files left on the disk, what is evicted is deleted soon, and it is told."""
        self.successResultOf(self.janitor.stopService())
        self.employ(self.reopen(1 << 30))
        digests = self.fill(36)
        space = self.tier.space

        def lacking_files() -> int:
            return len([path for path in self.folder.rglob("*") if path.is_file()]) - others - 6

        others = 0
        others = lacking_files() + 6 - 36
        self.patch(space, "_look_for_files", lacking_files)
        doomed: list[int] = []
        self.janitor.observe = lambda *_: doomed.append(space.doomed_files)
        with capturedLogs() as logs:
            self.clock.advance(2)
            self.work()
        self.assertEqual(max(doomed), MOST_TRASH_FILES)
        self.assertEqual(len(self.missing(digests)), 30)
        told = [text for event in logs if "too few" in (text := formatEvent(event))]
        self.assertIn("has 30 files too few left", told[0])

    def test_no_more_than_is_lacking(self) -> None:
        """What has been deleted meanwhile is free: no more goes than the disk has too little."""
        digests = self.fill(30)
        cas = self.folder / "cas"

        def free() -> int:
            return 4_000_000 - sum(path.stat().st_blocks * 512 for path in cas.rglob("*"))

        self.patch(self.tier.space, "_free", free)
        self.patch(self.tier.space, "free_reserve_bytes", free() + 500_000)
        self.clock.advance(2)
        self.work()
        self.assertEqual(len(self.missing(digests)), 6)

    def test_room_out_of_reach(self) -> None:
        """Where all that is ours could not make room enough on the disk, it stays, and writes are told to be refused."""
        digests = self.fill(5)
        self.tier.space.free_reserve_bytes = 1 << 60
        self.clock.advance(2)
        self.work()
        self.assertEqual(self.missing(digests), [])
        self.assertIn("make room on the disk", self.tier.space.failure or "")

    def test_nothing_left(self) -> None:
        """A cache in which nothing may go, and that is full, tells that writes are refused."""
        self.employ_pinning()
        self.fill(40)
        self.work()
        self.assertIsNone(self.tier.space.failure)
        self.tier.space.limit_bytes = self.tier.space.used_bytes
        self.work()
        self.assertIn("nothing may be evicted", self.tier.space.failure or "")

    def test_reading_goes_on(self) -> None:
        """Who reads an evicted blob reads it to its end."""
        digest, data = self.put(1_000_000)
        body = self.successResultOf(self.tier.blobs.get(digest))
        self.pass_through(60)
        self.assertEqual(self.missing([digest]), [digest])
        self.assertEqual(self.successResultOf(body.read_all()), data)
        self.assertFalse([name for name in open_files() if "/cas/" in name])

    def test_read_back(self) -> None:
        """What was evicted can be put again."""
        digests = self.fill(42)
        self.work()
        gone = self.missing(digests)[0]
        number = digests.index(gone)
        self.put(90_000, number)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, gone)), blob(90_000, number)[1])

    def test_stops_after_its_work(self) -> None:
        """Who stops it waits for the files it is deleting."""
        threads = HeldDiskThreads()
        self.successResultOf(self.janitor.stopService())
        self.reopen(LIMIT_BYTES)
        self.fill(42)
        self.reopen(LIMIT, threads)
        self.employ(self.tier)
        self.clock.advance(LOOK_SECONDS)
        threads.release()
        self.clock.pump([REST_SECONDS] * 100)
        self.assertTrue(threads.held)
        stopped = self.janitor.stopService()
        assert isinstance(stopped, Deferred)
        self.assertNoResult(stopped)
        threads.release()
        self.clock.advance(REST_SECONDS)
        self.successResultOf(stopped)
