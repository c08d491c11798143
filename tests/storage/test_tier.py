"""The tier as a whole: opened, kept in order, closed."""

from __future__ import annotations

from pathlib import Path

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from gorego_tw.errors import Unavailable
from gorego_tw.storage import checkpoints, last_use
from gorego_tw.storage.disk_threads import DiskThreadPool, HeldDiskThreads, NoDiskThreads
from gorego_tw.storage.folder import FolderError, FolderInUse
from gorego_tw.storage.last_use import FLUSH_SECONDS
from gorego_tw.storage.tier import LocalTier
from tests.storage.test_checkpoints import no_disk
from tests.storage.tiers import SIZES, TierTestCase, blob, open_files, put, read


class OpeningTests(TierTestCase):
    def again(self) -> LocalTier:
        return LocalTier.open(
            self.folder,
            limit_bytes=1 << 30,
            free_reserve_bytes=0,
            clock=self.clock,
            threads=NoDiskThreads(),
        )

    def test_in_use(self) -> None:
        """A folder that is open cannot be opened again."""
        self.assertRaises(FolderInUse, self.again)

    def test_no_index_can_be(self) -> None:
        """What keeps an index from being opened is said in one line, and nothing is held."""
        self.close_tier(self.tier)
        before = open_files()
        index = self.folder / "index" / "data.mdb"
        index.rename(self.folder / "kept")
        index.mkdir()
        error = self.assertRaises(FolderError, self.again)
        self.assertIn(str(self.folder), str(error))
        self.assertNotIn("\n", str(error))
        self.assertEqual(open_files(), before)
        index.rmdir()
        (self.folder / "kept").rename(index)
        self.open_tier()

    def test_closed(self) -> None:
        """After it was closed nothing of the folder is open."""
        self.put(100_000)
        self.close_tier(self.tier)
        self.assertFalse([name for name in open_files() if str(self.folder) in name])

    def test_closed_with_a_failing_disk(self) -> None:
        """Whatever fails while it is closed, nothing of the folder is open afterwards."""
        self._open = False

        async def failing() -> None:
            raise Unavailable("local tier: the disk fails")

        self.patch(self.tier.last_use, "flush_slice", lambda: True)
        self.patch(self.tier.checkpoints, "take_if_due", lambda _: failing())
        self.failureResultOf(self.tier.close(), Unavailable)
        self.assertFalse([name for name in open_files() if str(self.folder) in name])


class UpkeepTests(TierTestCase):
    def start(self) -> None:
        for service in self.tier.services:
            verifyObject(IService, service)
            service.startService()
            self.addCleanup(service.stopService)

    def test_flush(self) -> None:
        """Last uses are looked at every second, and flushed every minute."""
        digest, _ = self.put(5000)
        self.start()
        self.clock.advance(10)
        self.tier.last_use.touch(digest.key)
        self.clock.pump([1] * int(FLUSH_SECONDS))
        self.assertEqual(self.tier.index.neighbours(digest.key, 1), [(digest.key, 1_000_010)])

    def test_flush_in_slices(self) -> None:
        """Between the slices of a flush others have their turn."""
        digests = [self.put(10, seed)[0] for seed in range(10)]
        self.start()
        self.clock.advance(FLUSH_SECONDS)
        self.tier.last_use.tick()
        for digest in digests:
            self.tier.last_use.touch(digest.key)
        slices: list[int] = []
        flush_slice = self.tier.last_use.flush_slice

        def counting() -> bool:
            slices.append(len(self.clock.getDelayedCalls()))
            return flush_slice() or len(slices) < 3

        self.patch(self.tier.last_use, "flush_slice", counting)
        self.clock.pump([FLUSH_SECONDS, 0.01, 0.01, 0.01])
        self.assertEqual(len(slices), 3)

    def test_flush_without_a_disk(self) -> None:
        """While no checkpoint can be taken that is due, a flush goes on a slice a second, and to the end
        when it can be.
        """
        digests = [self.put(10, seed)[0] for seed in range(200)]
        self.patch(last_use, "SLICE_SECONDS", 0.0)
        fail = self.patch(checkpoints, "sync_file_system", no_disk)
        self.start()
        self.clock.advance(FLUSH_SECONDS)
        self.tier.last_use.tick()
        for digest in digests:
            self.tier.last_use.touch(digest.key)
        self.clock.pump([FLUSH_SECONDS, *[1.0] * 4])
        pending = [self.tier.last_use.is_pending(digest.key) for digest in digests]
        self.assertEqual(pending.count(True), 200 - 5 * 32)
        fail.restore()
        self.clock.pump([0.01] * 10 + [1.0] + [0.01] * 20)
        self.assertFalse(any(self.tier.last_use.is_pending(digest.key) for digest in digests))

    def test_checkpoint(self) -> None:
        """The index goes to stable storage soon after the start, then twice a minute, in a thread."""
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        self.start()
        threads.release()  # what is done once
        for seconds in (1, self.tier.upkeep.checkpoint_seconds):
            self.clock.advance(seconds)
            self.assertEqual(len(threads.held), 1)
            threads.release()
            with self.tier.index.write() as txn:
                txn.note_latest_use(1)


class ThreadedTierTests(TestCase):
    """The whole of it with real threads and the real clock."""

    def setUp(self) -> None:
        self.threads = DiskThreadPool(reactor)  # type: ignore[arg-type]  # a module to mypy
        self.threads.startService()
        self.addCleanup(self.threads.stopService)
        self.tier = LocalTier.open(
            Path(self.mktemp()),
            limit_bytes=1 << 30,
            free_reserve_bytes=0,
            clock=reactor,
            threads=self.threads,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(self.tier.close()))

    async def test_blobs(self) -> None:
        """Blobs of all sizes at once, each twice, come back as they were put."""
        blobs = [blob(size_bytes) for size_bytes in SIZES] * 2
        puts = [Deferred.fromCoroutine(put(self.tier.blobs, *each)) for each in blobs]
        await gatherResults(puts, consumeErrors=True)
        for digest, data in blobs:
            self.assertEqual(await read(self.tier.blobs, digest), data)

    async def test_upload(self) -> None:
        """An upload that was suspended is gone on with."""
        digest, data = blob(1_500_000)
        for start in range(0, len(data), 400_000):
            upload = await self.tier.uploads.open("name", digest)
            self.assertEqual(upload.committed_size, start)
            await upload.write(data[start : start + 400_000])
            await upload.suspend()
        upload = await self.tier.uploads.open("name", digest)
        await upload.commit()
        self.assertEqual(await read(self.tier.blobs, digest), data)
