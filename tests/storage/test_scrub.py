"""What the disk damages is found, at an even pace, and the rest is left alone."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from gorego_tw.digest import Digest, DigestFunction
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.disk_threads import HeldDiskThreads, NoDiskThreads
from gorego_tw.storage.local import action_key
from gorego_tw.storage.records import FILE, BlobRecord
from gorego_tw.storage.scrub import LOOK_SECONDS, Scrub
from tests.storage.compression import CompressingTestCase
from tests.storage.test_local import failing
from tests.storage.tiers import TierTestCase, blob, put, read

RATE = 1_000_000

LIBC = ctypes.CDLL(None)


class ScrubTestCase(TierTestCase):
    def make_scrub(self, rate: int = RATE, threads: object = None) -> Scrub:
        """A scrub that runs."""
        scrub = Scrub(
            rate,
            environment=self.tier.environment,
            index=self.tier.index,
            inventory=self.tier.inventory,
            files=self.tier.files,
            may_pass=self.tier.unreadable.may_pass,
            threads=threads or NoDiskThreads(),  # type: ignore[arg-type]
            clock=self.clock,
        )
        scrub.startService()
        return scrub

    def go_through(self, scrub: Scrub, most_seconds: float = 60.0) -> float:
        """Let it come to the end of a pass.

        :returns: how long that takes, in seconds.
        """
        self.clock.advance(LOOK_SECONDS)
        passes, began = scrub.passes, self.clock.seconds()
        while scrub.passes == passes and self.clock.seconds() < began + most_seconds:
            self.clock.advance(0.005)
        self.assertEqual(scrub.passes, passes + 1)
        return self.clock.seconds() - began

    def stop(self, scrub: Scrub) -> None:
        stopped = scrub.stopService()
        self.clock.advance(1)
        assert isinstance(stopped, Deferred)
        self.successResultOf(stopped)

    def flip(self, digest: Digest) -> None:
        """Damage a file as a disk does: nothing that the file system knows of changes."""
        path = self.path(digest)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        found = self.tier.inventory.find(digest)
        assert found is not None
        self.tier.inventory.restamp(digest.key, found[0]._replace(stamp=path.stat().st_ctime_ns))

    def assert_absent(self, digest: Digest) -> None:
        self.assertEqual(self.successResultOf(self.tier.blobs.find_missing([digest])), [digest])


class ScrubTests(ScrubTestCase):
    def test_interface(self) -> None:
        """It is a service."""
        verifyObject(IService, self.tier.scrub)

    def test_good(self) -> None:
        """What is right stays, and all of it is read, of every digest function."""
        blobs = [
            blob(size, function=function)
            for function in DigestFunction
            for size in (100, 5000, 256 * 1024, 256 * 1024 + 1)
        ]
        for digest, data in blobs:
            self.successResultOf(put(self.tier.blobs, digest, data))
        result = StoredActionResult(b"result", ())
        self.successResultOf(self.tier.action_results.put(ActionKey("", blobs[0][0]), result))
        scrub = self.make_scrub()
        self.go_through(scrub)
        self.assertEqual(scrub.scrubbed_entries, len(blobs) + 1)
        self.assertGreater(scrub.scrubbed_bytes, sum(digest.size_bytes for digest, _ in blobs))
        self.assertEqual(self.tier.inventory.damaged, 0)
        for digest, data in blobs:
            self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_flipped(self) -> None:
        """A file with another byte in it, of which nothing else tells, is dropped and counted."""
        digest, _ = self.put(600_000)
        other, data = self.put(600_001)
        self.flip(digest)
        self.go_through(self.make_scrub())
        self.assert_absent(digest)
        self.assertEqual(self.tier.inventory.damaged, 1)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, other)), data)

    def test_gone_short_long(self) -> None:
        """A file that is gone, shorter or longer."""
        gone, short, long = (self.put(10_000 + number)[0] for number in range(3))
        self.path(gone).unlink()
        os.truncate(self.path(short), 5000)
        os.truncate(self.path(long), 50_000)
        self.go_through(self.make_scrub())
        for digest in (gone, short, long):
            self.assert_absent(digest)

    def test_in_the_index(self) -> None:
        """A small blob and an action result that are damaged in the index."""
        digest, data = self.put(100)
        found = self.tier.inventory.find(digest)
        assert found is not None
        key = ActionKey("", digest)
        result = StoredActionResult(b"result", ())
        self.successResultOf(self.tier.action_results.put(key, result))
        packed = self.tier.index.action(action_key(key)) or b""
        with self.tier.index.write() as txn:
            txn.put_blob(digest.key, found[0], data[:-1] + b"?")
            txn.put_action(action_key(key), packed[:-1] + b"?")
        self.go_through(self.make_scrub())
        self.assert_absent(digest)
        self.assertIsNone(self.tier.index.action(action_key(key)))
        self.assertEqual(self.tier.inventory.damaged, 2)

    def test_unreadable(self) -> None:
        """What the disk cannot read is dropped if that lasts; a process without a file to open drops nothing."""
        digest, _ = self.put(10_000)
        patch = self.patch(os, "open", failing(errno.EMFILE))
        scrub = self.make_scrub()
        self.go_through(scrub)
        patch.restore()
        self.assertEqual(self.tier.inventory.damaged, 0)
        self.patch(os, "preadv", failing(errno.EIO))
        self.go_through(scrub)
        self.assertEqual(self.tier.inventory.damaged, 0)
        self.tier.unreadable.startService()
        self.clock.pump([LOOK_SECONDS] * 7)
        self.assert_absent(digest)

    def test_used_while_read(self) -> None:
        """Damage is found in what is in use as well: the time of its last use is no part of what it is."""
        digest, _ = self.put(1_000_000)
        self.flip(digest)
        scrub = self.make_scrub(rate=100_000)
        self.clock.advance(LOOK_SECONDS)
        while not scrub.passes:
            self.clock.advance(1)
            self.tier.last_use.tick()
            self.tier.last_use.touch(digest.key)
            self.tier.last_use.flush_slice()
        self.assertEqual(self.tier.inventory.damaged, 1)
        self.assert_absent(digest)

    def test_evicted_and_put_while_read(self) -> None:
        """An entry that is another one by now is not dropped for what was wrong with the first."""
        digest, data = self.put(10_000)
        self.flip(digest)
        threads = HeldDiskThreads()
        self.make_scrub(threads=threads)
        self.clock.advance(LOOK_SECONDS)
        self.tier.inventory.evict([digest.key])
        self.successResultOf(put(self.tier.blobs, digest, data))
        for _ in range(5):
            threads.release()
            self.clock.advance(1)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_off(self) -> None:
        """At 0 bytes per second nothing is read."""
        digest, _ = self.put(10_000)
        self.flip(digest)
        scrub = self.make_scrub(0)
        self.clock.pump([LOOK_SECONDS] * 3)
        self.stop(scrub)
        self.assertEqual(scrub.scrubbed_entries, 0)


class PaceTests(ScrubTestCase):
    def test_even(self) -> None:
        """It takes as long as its rate says, for large files and for many small entries."""
        self.put(2_000_000)
        self.assertApproximates(self.go_through(self.make_scrub()), 2, 0.2)
        for seed in range(200):
            self.put(100, seed)
        self.assertApproximates(self.go_through(self.make_scrub()), 2.8, 0.2)

    def test_goes_on_after_a_restart(self) -> None:
        """What was seen before a restart is not read again before the rest was."""
        for seed in range(100):
            self.put(10_000, seed)
        scrub = self.make_scrub()
        self.clock.advance(LOOK_SECONDS)
        self.clock.pump([0.01] * 50)
        self.assertTrue(0.2 < scrub.progress < 0.8)
        self.stop(scrub)
        progress, seen = scrub.progress, scrub.scrubbed_entries
        self.reopen()
        scrub = self.make_scrub()
        self.assertEqual(scrub.progress, progress)
        self.go_through(scrub)
        self.assertApproximates(scrub.scrubbed_entries, 100 - seen, 1)
        self.assertEqual(scrub.progress, 0)

    def test_stops_soon(self) -> None:
        """A stop in the middle of a large file does not wait for its end."""
        self.put(1_500_000)
        scrub = self.make_scrub(1000)
        self.clock.advance(LOOK_SECONDS)
        self.stop(scrub)
        self.assertLess(scrub.scrubbed_bytes, 600_000)
        self.assertEqual(self.tier.inventory.damaged, 0)


class CompressedTests(ScrubTestCase, CompressingTestCase):
    def test_good(self) -> None:
        """What is compressed stays when it is right, and is read as it is stored, at the same pace."""
        digest, data = self.put_text(1_500_000)
        stored = self.record(digest).compressed_bytes
        self.assertLess(stored, 1_000_000)
        scrub = self.make_scrub()
        self.assertApproximates(self.go_through(scrub), stored / RATE, 0.2)
        self.assertApproximates(scrub.scrubbed_bytes, stored, 100)
        self.assertEqual(self.tier.inventory.damaged, 0)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_damaged(self) -> None:
        """A flipped byte in its first frame or in its table is found."""
        for at in (1000, -5):
            digest, _ = self.put_text(600_000, at)
            data = bytearray(self.path(digest).read_bytes())
            data[at] ^= 1
            self.path(digest).write_bytes(data)
            stamp = self.path(digest).stat().st_ctime_ns
            self.tier.inventory.restamp(digest.key, self.record(digest)._replace(stamp=stamp))
            self.go_through(self.make_scrub())
            self.assert_absent(digest)

    def test_in_pieces(self) -> None:
        """A large one is read frame by frame: others have their turn, and a stop need not wait."""
        self.put_text(1_500_000)
        threads = HeldDiskThreads()
        scrub = self.make_scrub(1000, threads)
        self.clock.advance(LOOK_SECONDS)
        threads.held.pop(0)()
        self.stop(scrub)
        self.assertTrue(0 < scrub.scrubbed_bytes < 256 * 1024)
        self.assertEqual(self.tier.inventory.damaged, 0)

    def test_other_form_after_a_crash(self) -> None:
        """A crash may leave a compressed file that the index takes for a plain one: it is no damage."""
        digest, data = self.put_text(600_000)
        stamp = self.path(digest).stat().st_ctime_ns - 1
        plain = BlobRecord(self.tier.last_use.now, FILE, digest.size_bytes, stamp)
        self.tier.inventory.restamp(digest.key, plain)
        self.go_through(self.make_scrub())
        self.assertEqual(self.tier.inventory.damaged, 0)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)


class PageCacheTests(ScrubTestCase):
    def resident(self, digest: Digest) -> bool:
        """Whether any of a file is in memory (mincore(2), which brings nothing there)."""
        with self.path(digest).open("rb") as file:
            pages = -(-digest.size_bytes // mmap.PAGESIZE)
            found = (ctypes.c_ubyte * pages)()
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
                start = ctypes.c_char.from_buffer(mapped)
                size = ctypes.c_size_t(digest.size_bytes)
                self.assertEqual(LIBC.mincore(ctypes.byref(start), size, found), 0)
                del start
        return any(flags & 1 for flags in found)

    def test_leaves_memory_as_it_was(self) -> None:
        """What was in memory stays there, what was not is not there afterwards."""
        hot, cold = (self.put(1_000_000, seed)[0] for seed in range(2))
        for digest in (hot, cold):
            fd = os.open(self.path(digest), os.O_RDONLY)
            os.fsync(fd)
            if digest is cold:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
        self.assertEqual([self.resident(hot), self.resident(cold)], [True, False])
        self.go_through(self.make_scrub())
        self.assertEqual([self.resident(hot), self.resident(cold)], [True, False])
        self.assertEqual(self.tier.inventory.damaged, 0)
