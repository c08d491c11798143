"""Checkpoints: what is on the disk at each, and what happens when it cannot be."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NoReturn

import lmdb
from twisted.internet.defer import CancelledError, Deferred

from gorego_tw.concurrency import GATHER_WIDTH, gather
from gorego_tw.errors import NotFound, ResourceExhausted, Unavailable
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage import checkpoints, last_use, stable_storage
from gorego_tw.storage.checkpoint_record import CheckpointRecord
from gorego_tw.storage.checkpoint_schedule import (
    PACE_SECONDS,
    WELL_SECONDS,
    CheckpointSchedule,
)
from gorego_tw.storage.checkpoints import FAILING_PARTS
from gorego_tw.storage.disk_threads import HeldDiskThreads
from gorego_tw.storage.doubt import Doubt
from gorego_tw.storage.environment import LEAST_GROWTH_BYTES, MOST_GROWTH_BYTES, growth_bytes
from gorego_tw.storage.free_pages import FreePages
from gorego_tw.storage.index_place import note_place
from gorego_tw.storage.lmdb_pages import DamagedPage, two_metas, unpack_meta
from gorego_tw.storage.records import FILE, BlobRecord
from gorego_tw.waiting_line import WIDTH
from tests.storage.tiers import LIMIT_BYTES, TierTestCase, blob, put, read


def no_disk(*_: object) -> NoReturn:
    """A disk that fails."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


class CheckpointsTestCase(TierTestCase):
    def record(self) -> CheckpointRecord:
        """What is written down."""
        record = CheckpointRecord.read(self.folder / "index")
        assert record is not None
        return record

    def transaction(self) -> int:
        """The commit that a power cut leads back to."""
        return unpack_meta(self.record().meta).transaction

    def commit(self, times: int = 1) -> None:
        """Write to the index."""
        for number in range(times):
            with self.tier.index.write() as txn:
                txn.note_latest_use(number)


class CheckpointsTests(CheckpointsTestCase):
    def test_files_come_first(self) -> None:
        """The files are on the disk before the checkpoint is written down, and the index with them."""
        steps: list[str] = []
        sync, write = stable_storage.sync_file_system, CheckpointRecord.write

        def syncing(fd: int) -> None:
            steps.append("files and index")
            sync(fd)

        def writing(record: CheckpointRecord, folder: object) -> None:
            steps.append("record")
            write(record, self.folder / "index")

        self.patch(checkpoints, "sync_file_system", syncing)
        self.patch(CheckpointRecord, "write", writing)
        self.put(5000)
        self.successResultOf(self.tier.checkpoint())
        self.assertEqual(steps, ["files and index", "record"])

    def test_what_came_while_it_was_taken(self) -> None:
        """A checkpoint is of the moment it was begun in."""
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        self.commit()
        began = self.tier.environment.last_transaction
        taking = Deferred.fromCoroutine(self.tier.checkpoint())
        self.commit(5)
        threads.release()
        self.successResultOf(taking)
        self.assertEqual(self.transaction(), began)

    def entries(self, path: Path) -> dict[bytes, bytes]:
        """All blobs that an index has."""
        with lmdb.open(str(path), max_dbs=5) as environment, environment.begin() as txn:
            return dict(txn.cursor(environment.open_db(b"small", txn)))

    def test_pages_stay(self) -> None:
        """No commit writes over a page of the last checkpoint, however many there are."""
        kept = dict(self.put(100, seed) for seed in range(20))
        self.successResultOf(self.tier.checkpoint())
        for seed in range(300):
            digest, _ = self.put(100, 100 + seed)
            if seed % 2:
                self.tier.inventory.evict([digest.key])
        self.tier.inventory.evict(digest.key for digest in kept)
        copy = Path(self.mktemp())
        shutil.copytree(self.folder / "index", copy)
        self.assertEqual(len(self.entries(copy)), 150)
        with (copy / "data.mdb").open("r+b") as file:
            file.write(two_metas(self.record().meta))
        found = self.entries(copy)
        self.assertEqual(found, {digest.key: data for digest, data in kept.items()})

    def test_nothing_to_do(self) -> None:
        """Without a commit since the last one the disk is left alone."""
        self.successResultOf(self.tier.checkpoint())
        self.patch(checkpoints, "sync_file_system", no_disk)
        self.successResultOf(self.tier.checkpoint())
        self.commit()
        self.failureResultOf(self.tier.checkpoint(), Unavailable)

    def test_disk_fails(self) -> None:
        """A checkpoint that fails leaves the one before; the next may go well."""
        self.commit()
        self.successResultOf(self.tier.checkpoint())
        before = self.transaction()
        self.commit()
        for place, name in ((checkpoints, "sync_file_system"), (os, "fsync")):
            patch = self.patch(place, name, no_disk)
            self.failureResultOf(self.tier.checkpoint(), Unavailable)
            patch.restore()
            self.assertEqual(self.transaction(), before)
        self.successResultOf(self.tier.checkpoint())
        self.assertGreater(self.transaction(), before)

    def written(self, checkpoint: Callable[[], object]) -> bytearray:
        """What is written again to the index's file, where it is written, before all is brought to the disk."""
        file = self.folder / "index" / "data.mdb"
        again = bytearray(file.stat().st_size)
        pwrite, sync = os.pwrite, stable_storage.sync_file_system
        seen: list[bytes] = []

        def writing(fd: int, data: bytes, offset: int) -> int:
            if Path(f"/proc/self/fd/{fd}").readlink() == file.absolute():
                again[offset : offset + len(data)] = data
            return pwrite(fd, data, offset)

        def syncing(fd: int) -> None:
            seen.append(bytes(again))
            sync(fd)

        patches = [
            self.patch(os, "pwrite", writing),
            self.patch(checkpoints, "sync_file_system", syncing),
        ]
        checkpoint()
        for patch in patches:
            patch.restore()
        if seen:
            self.assertEqual(seen[0], again)
        return again

    def fail_once(self) -> None:
        """A checkpoint that fails."""
        self.commit()
        patch = self.patch(checkpoints, "sync_file_system", no_disk)
        self.failureResultOf(self.tier.checkpoint(), Unavailable)
        patch.restore()

    def test_pages_that_may_not_be_on_the_disk(self) -> None:
        """After one has failed all of the index is written again: a sync that goes well says nothing of what was
        lost before. After the one that went well nothing is.
        """
        for seed in range(100):
            self.put(3000, seed)
        file = self.folder / "index" / "data.mdb"

        def checkpoint() -> None:
            self.successResultOf(self.tier.checkpoint())

        self.fail_once()
        content = file.read_bytes()
        self.assertEqual(self.written(checkpoint), content)
        self.assertEqual(file.read_bytes(), content)
        self.commit()
        self.assertFalse(any(self.written(checkpoint)))

    def test_failed_in_another_process(self) -> None:
        """What may have been lost is written again by the next process, before it makes a checkpoint."""
        self.put(3000)
        self.fail_once()
        copy = Path(self.mktemp())
        shutil.copytree(self.folder, copy)
        note_place(copy / "index")
        self.close_tier(self.tier)
        self.folder = copy
        content = (copy / "index" / "data.mdb").read_bytes()
        self.assertEqual(self.written(self.open_tier)[: len(content)], content)
        self.commit()
        self.assertFalse(any(self.written(lambda: self.successResultOf(self.tier.checkpoint()))))

    def test_files_that_may_not_be_on_the_disk(self) -> None:
        """Files since the last checkpoint are hashed before they are served, when one has failed."""
        kept, _ = self.put(5000)
        self.successResultOf(self.tier.checkpoint())
        digest, data = self.put(6000)
        path = self.path(digest)
        patch = self.patch(checkpoints, "sync_file_system", no_disk)
        self.failureResultOf(self.tier.checkpoint(), Unavailable)
        patch.restore()
        found = {each: self.tier.inventory.record(each.key) for each in (kept, digest)}
        doubted = [each for each, record in found.items() if self.doubts(record)]
        self.assertEqual(doubted, [digest])
        path.write_bytes(bytes(6000))
        record = found[digest]
        assert record is not None
        self.tier.inventory.restamp(digest.key, record._replace(stamp=path.stat().st_ctime_ns))
        self.tier.inventory.doubt = Doubt(0, path.stat().st_ctime_ns + 1, verify=True)
        self.failureResultOf(self.tier.blobs.get(digest), NotFound)
        self.successResultOf(put(self.tier.blobs, digest, data))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def doubts(self, record: BlobRecord | None) -> bool:
        return record is not None and self.tier.inventory.is_doubted(record)

    def test_cancelled(self) -> None:
        """One that nobody waits for any more leaves no reader behind."""
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        self.commit()
        taking = Deferred.fromCoroutine(self.tier.checkpoint())
        taking.cancel()
        threads.release()
        self.failureResultOf(taking, CancelledError)

    def test_due(self) -> None:
        """One is due at once after the start, and then when much of the file waits for it."""
        self.assertTrue(self.tier.checkpoints.due)
        self.successResultOf(self.tier.checkpoint())
        self.assertFalse(self.tier.checkpoints.due)
        size = self.file_bytes
        while not self.tier.checkpoints.due:
            self.commit(10)
        most = growth_bytes(LIMIT_BYTES)
        self.assertGreater(self.file_bytes - size, most * 0.9)
        self.assertLess(self.file_bytes - size, most * 1.1)

    def test_behind(self) -> None:
        """While the disk does not take what was written the index grows to a bound, and no further; what is
        there is served, and goes when it has to. With the next checkpoint it goes on.
        """
        self.reopen(1 << 28)
        patch = self.patch(checkpoints, "sync_file_system", no_disk)
        most = self.tier.environment.growth_bytes * (FAILING_PARTS + 2)
        number = 0
        while not self.tier.checkpoints.behind:
            self.put(3000, number)
            number += 1
            if not number % 100:
                self.failureResultOf(Deferred.fromCoroutine(self.tier.checkpoint()), Unavailable)
            self.assertLess(self.tier.environment.file_bytes, 2 * most)
        first, data = blob(3000)
        for size_bytes in (3000, 10_000):
            waiting = put(self.tier.blobs, *blob(size_bytes, number))
            self.failureResultOf(waiting, ResourceExhausted)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, first)), data)
        self.tier.inventory.evict([first.key])
        patch.restore()
        self.successResultOf(self.tier.checkpoint())
        self.put(3000, number)

    def test_slow(self) -> None:
        """A disk that takes long over a checkpoint is given more time than one that fails, until it does."""
        self.patch(checkpoints, "FAILING_PARTS", 2)
        self.patch(checkpoints, "SLOW_PARTS", 8)
        self.reopen(1 << 20)
        self.successResultOf(self.tier.checkpoint())
        growth, size = self.tier.environment.growth_bytes, self.file_bytes
        threads = HeldDiskThreads()
        self.put(3000, -1)
        taking = Deferred.fromCoroutine(self.tier.checkpoints.take(threads))
        number = 0
        while not self.tier.checkpoints.behind:
            self.put(100, number)
            number += 1
        self.assertGreater(self.file_bytes - size, 7 * growth)
        threads.release()
        self.successResultOf(taking)
        self.successResultOf(self.tier.checkpoint())  # of what came meanwhile
        for more in range(number // 2):
            self.put(100, number + more)
        self.assertFalse(self.tier.checkpoints.behind)
        self.patch(checkpoints, "sync_file_system", no_disk)
        taking = Deferred.fromCoroutine(self.tier.checkpoints.take(threads))
        threads.release()
        self.failureResultOf(taking, Unavailable)
        self.assertTrue(self.tier.checkpoints.behind)

    def test_due_after_few_commits(self) -> None:
        """Commits that change much count for more than those that change little."""
        self.reopen(1 << 20)
        self.fill(60_000)
        self.successResultOf(self.tier.checkpoint())
        size = self.file_bytes
        random, commits = Random(1), 0
        while not self.tier.checkpoints.due:
            with self.tier.index.write() as txn:
                for number in random.choices(range(60_000), k=100):
                    txn.renew(self.key(number), 3_000_000 + commits)
            commits += 1
        self.assertLess(commits, 20)
        self.assertLess(self.file_bytes - size, 2 * LEAST_GROWTH_BYTES)

    def test_by_the_limit(self) -> None:
        """What may wait is a small part of the limit, within bounds."""
        most = [growth_bytes(1 << bits) for bits in (20, 32, 44)]
        self.assertEqual(most, [LEAST_GROWTH_BYTES, 1 << 26, MOST_GROWTH_BYTES])

    def test_if_due(self) -> None:
        """Who would write much waits for one that is due, or for the one that is being taken."""
        self.successResultOf(self.tier.checkpoint())
        self.commit()
        threads = HeldDiskThreads()
        self.successResultOf(self.tier.checkpoints.take_if_due(threads))
        self.assertEqual(self.tier.checkpoints.taken, 1)
        while not self.tier.checkpoints.due:
            self.commit(100)
        waiting = [
            Deferred.fromCoroutine(self.tier.checkpoints.take_if_due(threads)) for _ in range(3)
        ]
        self.assertNoResult(waiting[0])
        threads.release()
        for each in waiting:
            self.successResultOf(each)
        self.assertEqual(self.tier.checkpoints.taken, 2)

    def test_flush_of_last_uses(self) -> None:
        """A flush of many last uses waits for checkpoints, so that the file does not grow by all of it."""
        self.patch(last_use, "SLICE_SECONDS", 0.0)
        self.patch(last_use, "_BATCH", 1)  # one at a time
        self.reopen(1 << 20)
        self.fill(20_000)
        self.successResultOf(self.tier.checkpoint())
        size = self.file_bytes
        self.clock.advance(1)
        self.tier.last_use.tick()
        for number in range(0, 20_000, 10):
            self.tier.last_use.touch(self.key(number))
        self.successResultOf(self.tier.flush())
        self.assertGreater(self.tier.checkpoints.taken, 3)
        self.assertLess(self.file_bytes - size, 3 * LEAST_GROWTH_BYTES)

    def fill(self, entries: int) -> None:
        """Keep the records of so many blobs."""
        with self.tier.index.write() as txn:
            for number in range(entries):
                txn.put_blob(self.key(number), BlobRecord(1, FILE, 9999, 7))

    def key(self, number: int) -> bytes:
        return bytes([1]) + number.to_bytes(32, "big")

    @property
    def file_bytes(self) -> int:
        return (self.folder / "index" / "data.mdb").stat().st_size


class CheckpointScheduleTests(CheckpointsTestCase):
    def setUp(self) -> None:
        super().setUp()
        tier = self.tier
        self.schedule = CheckpointSchedule(tier.checkpoints, 30.0, tier.threads, self.clock)
        self.schedule.startService()
        self.addCleanup(self.schedule.stopService)
        self.clock.advance(1)

    def taken_after(self, *seconds: float) -> int:
        """How many checkpoints are taken in that time, each second of which is written in."""
        before = self.tier.checkpoints.taken
        for each in seconds:
            self.commit()
            self.clock.advance(each)
        return self.tier.checkpoints.taken - before

    def test_every_so_many_seconds(self) -> None:
        """It takes one every so many seconds, and the first soon after the start."""
        self.assertEqual(self.tier.checkpoints.taken, 1)
        self.assertEqual(self.taken_after(*[1.0] * 29), 0)
        self.assertEqual(self.taken_after(*[1.0] * 31), 2)

    def test_earlier(self) -> None:
        """When much waits for it, it takes one as soon as the reactor turns."""
        while not self.tier.checkpoints.due:
            self.commit()
        self.assertEqual(self.taken_after(0), 0)
        self.commit(64)
        self.assertEqual(self.taken_after(0), 1)

    def test_clock_goes_back(self) -> None:
        """A clock that was set back does not keep it waiting."""
        self.commit()
        self.clock.rightNow -= 3600
        self.successResultOf(self.schedule._take_if_due())
        self.assertEqual(self.tier.checkpoints.taken, 2)

    def test_well(self) -> None:
        """Who has lived for long does not count as one that ended soon."""
        self.tier.checkpoints._starts = 2
        self.taken_after(*[1.0] * (int(WELL_SECONDS) + 31))
        self.assertEqual(self.record().starts, 0)

    def test_again(self) -> None:
        """When much was written while one was taken the next is taken at once."""
        self.successResultOf(self.schedule.stopService())
        threads = HeldDiskThreads()
        schedule = CheckpointSchedule(self.tier.checkpoints, 30.0, threads, self.clock)
        before = self.tier.checkpoints.taken
        self.commit()
        schedule.startService()
        self.clock.advance(31)
        while not self.tier.checkpoints.due:
            self.commit(64)
        self.commit(64)
        threads.release()
        self.assertEqual(self.tier.checkpoints.taken, before + 2)
        self.successResultOf(schedule.stopService())

    def test_uncountable(self) -> None:
        """Where the free pages cannot be counted it takes no more than one in a turn of the reactor."""
        looks: list[int] = []

        def damaged(_: FreePages, transaction: int) -> NoReturn:
            looks.append(transaction)
            if len(looks) == 100:
                raise AssertionError("it goes on for ever")
            raise DamagedPage("no list of free pages")

        self.patch(FreePages, "freed_since", damaged)
        self.assertEqual(self.taken_after(1.0), 1)
        self.assertLess(len(looks), 100)


class PaceTests(CheckpointsTestCase):
    """Writes while much waits for the next checkpoint."""

    def setUp(self) -> None:
        super().setUp()
        self.threads = HeldDiskThreads()
        self.reopen(1 << 20, threads=self.threads)
        tier = self.tier
        self.schedule = CheckpointSchedule(tier.checkpoints, 30.0, tier.threads, self.clock)
        self.schedule.startService()
        self.addCleanup(self.schedule.stopService)
        tier.space.keep_pace = self.schedule.keep_pace
        self.clock.advance(1)
        self.threads.release()
        self.number = 0
        while not tier.checkpoints.hurried:
            self.write()

    def write(self) -> Deferred[None]:
        """Begin to put another blob."""
        self.number += 1
        return Deferred.fromCoroutine(put(self.tier.blobs, *blob(100, self.number)))

    def test_checkpoint(self) -> None:
        """All kinds of writes wait for the next checkpoint."""
        key = ActionKey("", blob(1)[0])
        action = self.tier.action_results.put(key, StoredActionResult(b"result", ()))
        upload = self.successResultOf(self.tier.uploads.open("one", blob(50_000)[0]))
        self.successResultOf(upload.write(blob(50_000)[1]))
        digest, data = blob(100)
        arrival = self.tier.arrivals.open(digest)
        self.successResultOf(arrival.append(data))
        ends = action, upload.commit(), arrival.finish()
        waiting = [self.write(), *map(Deferred.fromCoroutine, ends)]
        self.clock.advance(1)
        for write in waiting:
            self.assertNoResult(write)
        self.threads.release()
        self.threads.release()
        for write in waiting:
            self.successResultOf(write)
        arrival.complete()

    def test_order(self) -> None:
        """They go on in the order in which they came, a few in each turn and no more than there is room for."""
        ended: list[int] = []
        for number in range(1000):
            self.write().addCallback(lambda _, number: ended.append(number), number)
        self.threads.release()  # one was begun before all that was written
        self.clock.advance(1)
        self.threads.release()
        self.assertEqual(len(ended), WIDTH)
        while not self.tier.checkpoints.hurried:
            self.clock.advance(0)
        late = self.write()
        self.assertLess(len(ended), 1000)
        self.assertNoResult(late)
        while not late.called:
            self.clock.advance(0)
            self.threads.release()
        self.assertEqual(ended, list(range(1000)))

    def test_waiting_costs_nothing(self) -> None:
        """Who waits is not looked at until the next checkpoint, or until the time is up."""
        self.clock.advance(1)
        before = len(self.clock.calls)
        waiting = [self.write() for _ in range(100)]
        self.assertEqual(len(self.clock.calls) - before, 1)
        self.threads.release()
        self.clock.pump([0] * 100)
        for write in waiting:
            self.successResultOf(write)

    def test_slow(self) -> None:
        """A disk that takes long over it is waited for only so long, by all that come one after the other."""
        many = (put(self.tier.blobs, *blob(100, 10_000 + seed)) for seed in range(3 * GATHER_WIDTH))
        batch = Deferred.fromCoroutine(gather(many))
        self.clock.advance(PACE_SECONDS - 0.01)
        self.assertNoResult(batch)
        self.clock.pump([0.01, 0])
        self.successResultOf(batch)
        self.threads.release()

    def test_slow_once(self) -> None:
        """What comes after that checkpoint waits for the next one again."""
        self.write()
        self.clock.advance(PACE_SECONDS)
        self.successResultOf(self.write())
        self.threads.release()
        while not self.tier.checkpoints.hurried:
            self.write()
        waiting = self.write()
        self.clock.advance(PACE_SECONDS - 0.01)
        self.assertNoResult(waiting)
        self.threads.release()
        self.successResultOf(waiting)

    def test_slow_again(self) -> None:
        """Those for whom there was no room after one wait for the next one only so long, too."""
        waiting = [self.write() for _ in range(1000)]
        self.threads.release()
        self.clock.advance(1)
        self.threads.release()
        while not self.tier.checkpoints.hurried:
            self.clock.advance(0)
        self.assertNoResult(waiting[-1])
        self.clock.advance(PACE_SECONDS)
        self.clock.pump([0] * 100)
        self.successResultOf(waiting[-1])
        self.threads.release()

    def test_many_late(self) -> None:
        """Those who have waited for so long do not go on in the same turn of the reactor."""
        waiting = [self.write() for _ in range(3 * WIDTH)]
        self.clock.rightNow += PACE_SECONDS
        counts = []
        for _ in range(3):
            due = [call for call in self.clock.calls if call.getTime() <= self.clock.seconds()]
            for call in filter(self.clock.calls.__contains__, due):  # not cancelled by another
                self.clock.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
            counts.append(sum(write.called for write in waiting))
        self.assertEqual(counts, [WIDTH, 2 * WIDTH, 3 * WIDTH])
        self.threads.release()

    def test_failure(self) -> None:
        """Nobody waits for a disk that fails."""
        self.clock.advance(1)
        self.patch(checkpoints, "sync_file_system", no_disk)
        waiting = self.write()
        self.threads.release()
        self.successResultOf(waiting)

    def test_end(self) -> None:
        """Nor when none is to be taken any more; who leaves meanwhile leaves nothing."""
        waiting, leaving = self.write(), self.write()
        leaving.cancel()
        self.failureResultOf(leaving, CancelledError)
        stopping = self.schedule.stopService()
        self.successResultOf(waiting)
        self.threads.release()
        self.successResultOf(stopping)

    def test_large_results(self) -> None:
        """Few large action results are as much as many small ones."""
        self.reopen(1 << 28)
        self.successResultOf(self.tier.checkpoint())
        key, commits = ActionKey("", blob(1)[0]), 0
        while not self.tier.checkpoints.hurried:
            value = StoredActionResult(bytes([commits]) * 2_000_000, ())
            self.successResultOf(self.tier.action_results.put(key, value))
            commits += 1
        self.assertLess(commits, 10)
