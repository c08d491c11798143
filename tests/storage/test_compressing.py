"""Tests of gorego_tw.storage.compressing: what becomes of blobs that are compressed after they came."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from zope.interface.verify import verifyObject

from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, NotFound, Unavailable
from gorego_tw.interfaces import IBlobBody, ICompressedBody
from gorego_tw.storage import compressing
from gorego_tw.storage.compressing import LEAST_BYTES, Compressing
from gorego_tw.storage.disk_threads import HeldDiskThreads
from gorego_tw.storage.folder import FolderError
from gorego_tw.storage.frame_file import FrameFile
from gorego_tw.storage.index_write import IndexWrite
from gorego_tw.storage.records import COMPRESSED, FILE, BlobRecord, disk_bytes
from gorego_tw.storage.tier import LocalTier
from gorego_tw.zstd.compression import zstd_chunks
from gorego_tw.zstd.seekable import FRAME_BYTES
from tests.storage import contract
from tests.storage.cold_disk import ColdDisk
from tests.storage.compression import CompressingTestCase, text
from tests.storage.compression_crash import SIZE, STEPS
from tests.storage.contract import BlobAccessContract, UploadsContract
from tests.storage.test_local import failing
from tests.storage.tiers import open_files, put, read

ROOT = Path(__file__).parent.parent.parent


async def frames_of(body: IBlobBody) -> bytes:
    """The blob as whoever asks for zstd gets it."""
    async with zstd_chunks(body) as pieces:
        return b"".join([bytes(piece) async for piece in pieces])


async def first_frames_of(body: IBlobBody) -> bytes:
    """The first piece of that."""
    async with zstd_chunks(body) as pieces:
        return bytes(await anext(pieces))


class ContractTestCase(CompressingTestCase):
    """The blobs of the contracts can be compressed here, and have been when a put has ended."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(contract, "blob", text)


class CompressedBlobsTests(BlobAccessContract, ContractTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = self.tier.blobs

    def tearDown(self) -> None:
        """After every test of a contract, nothing is left over."""
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(self.tier.space.reserved_bytes, 0)
        self.assertFalse([name for name in open_files() if "/cas/" in name])
        self.assertEqual(self.compressing.passed_over, 0)

    def test_is_compressed(self) -> None:
        """What the contract is tested with is compressed."""
        digest, _ = self.put_text(100_000)
        body = self.successResultOf(self.store.get(digest))
        verifyObject(ICompressedBody, body)
        body.discard()


class CompressedUploadsTests(UploadsContract, ContractTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.uploads = self.tier.uploads
        self.store = self.tier.blobs


class KeepingTests(CompressingTestCase):
    def test_accounts(self) -> None:
        """A blob takes what its compressed file takes, and nothing when it was evicted."""
        digest, data = self.put_text(1_000_000)
        length = self.path(digest).stat().st_size
        record = self.record(digest)
        self.assertEqual((record.location, record.stored_bytes), (COMPRESSED, length))
        self.assertEqual(self.tier.index.tallies[1], (1, disk_bytes(length)))
        self.assertLess(length, 600_000)
        counted = self.compressing
        self.assertEqual((counted.compressed, counted.waiting), (1, 0))
        self.assertEqual((counted.original_bytes, counted.compressed_bytes), (len(data), length))
        self.assertEqual(self.tier.inventory.evict([digest.key]), disk_bytes(length))
        self.assertEqual(self.tier.space.doomed_bytes, disk_bytes(length))
        self.assertEqual(self.tier.index.tallies[1], (0, 0))

    def test_incompressible(self) -> None:
        """A blob that would not become smaller stays as it is."""
        digest, data = self.put(1_000_000)
        self.assertEqual(self.record(digest).location, FILE)
        self.assertEqual(self.path(digest).read_bytes(), data)
        self.assertEqual(self.compressing.incompressible, 1)
        self.assertEqual(self.left_behind(), [])

    def test_small(self) -> None:
        """A small blob is not looked at."""
        digest, _ = self.put_text(LEAST_BYTES - 1)
        self.assertEqual(self.record(digest).location, FILE)
        self.assertEqual(self.record(self.put_text(LEAST_BYTES)[0]).location, COMPRESSED)

    def test_too_large(self) -> None:
        """A blob of too many frames stays as it is."""
        self.patch(compressing, "MOST_FRAMES", 2)
        digest, _ = self.put_text(2 * FRAME_BYTES + 1)
        self.assertEqual(self.record(digest).location, FILE)
        self.assertEqual(self.record(self.put_text(2 * FRAME_BYTES)[0]).location, COMPRESSED)

    def test_arrivals(self) -> None:
        """A blob that arrives is read as it is while it arrives, also after it was compressed."""
        digest, data = text(5_000_000)
        arrival = self.tier.arrivals.open(digest)
        body = arrival.body()
        for start in range(0, len(data), 500_000):
            self.successResultOf(arrival.append(data[start : start + 500_000]))
        self.successResultOf(arrival.finish())
        self.assertEqual(self.record(digest).location, COMPRESSED)
        arrival.complete()
        self.assertEqual(self.successResultOf(body.read_all()), data)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_restart(self) -> None:
        """Compressed blobs are there after a restart, and what they take is known."""
        digest, data = self.put_text(600_000)
        used = self.tier.space.used_bytes
        self.reopen()
        self.assertEqual(self.tier.space.used_bytes, used)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_last_use(self) -> None:
        """A record keeps its form and its last use through both kinds of change."""
        digest, _ = self.put_text(600_000)
        before = self.record(digest)
        with self.tier.index.write() as txn:
            txn.renew(digest.key, before.last_used + 5)
        self.assertEqual(self.record(digest), before._replace(last_used=before.last_used + 5))


class SettingTests(CompressingTestCase):
    """Both forms live side by side, whatever the setting is now."""

    enabled = False

    def switch(self, *, enabled: bool) -> None:
        """The same folder with another setting."""
        self.close_tier(self.tier)
        self.enabled = enabled
        self.open_tier()

    def test_switched(self) -> None:
        """What was kept under one setting is read under the other, and stays in its form."""
        kept = [self.put_text(100_000)]
        self.switch(enabled=True)
        kept += [self.put_text(200_000), self.put_text(100_000)]
        self.switch(enabled=False)
        kept += [self.put_text(300_000), self.put_text(200_000)]
        for digest, data in kept:
            self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)
        locations = [self.record(digest).location for digest, _ in kept]
        self.assertEqual(locations, [FILE, COMPRESSED, FILE, FILE, COMPRESSED])

    def test_version(self) -> None:
        """A folder that never had compressed files can be used by programs that do not know them."""
        version = self.folder / "version"
        self.assertEqual(version.read_text(), "5\n")
        for enabled in (True, False, True):
            self.switch(enabled=enabled)
            self.assertEqual(version.read_text(), "6\n")

    def test_version_cannot_be_written(self) -> None:
        """Without the version there are no compressed files."""
        patch = self.patch(os, "fsync", failing(errno.EIO))
        self.assertRaises(FolderError, Compressing, self.tier, self.background)
        patch.restore()
        self.assertEqual((self.folder / "version").read_text(), "5\n")


class BackgroundTestCase(CompressingTestCase):
    """Compresses when a test lets it."""

    def setUp(self) -> None:
        self.background = self.held = HeldDiskThreads()
        super().setUp()

    def close_tier(self, tier: LocalTier) -> None:
        """As of any such test; what is held is let go of."""
        if self.compressing.running:
            stopping = self.compressing.stopService()
            self.held.release()
            self.successResultOf(stopping)
        super().close_tier(tier)

    def assert_kept(self, digest: Digest, data: bytes, location: int) -> None:
        """The blob is there, in that form, and nothing is left of anything else."""
        self.assertEqual(self.record(digest).location, location)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(self.tier.space.reserved_bytes, 0)


class BackgroundTests(BackgroundTestCase):
    def test_nobody_waits(self) -> None:
        """A put ends before its blob is compressed, and a reader that has begun goes on."""
        digest, data = self.put_text(600_000)
        self.assertEqual(self.record(digest).location, FILE)
        body = self.successResultOf(self.tier.blobs.get(digest))
        self.held.release()
        self.assert_kept(digest, data, COMPRESSED)
        self.assertEqual(self.successResultOf(body.read_all()), data)

    def test_leaves_no_trace(self) -> None:
        """What was read for a compression that is broken off is not taken for what was found right."""
        digest, _ = self.put(100_000)
        ColdDisk(self, self.path(digest)).damage(50_000)
        self.held.release()
        self.assertEqual((self.compressing.incompressible, self.tier.inventory.damaged), (1, 0))
        self.failureResultOf(read(self.tier.blobs, digest), DataLoss)

    def test_one_after_the_other(self) -> None:
        """One blob is compressed at a time, and the others wait."""
        kept = [self.put_text(100_000, seed) for seed in range(3)]
        self.assertEqual((len(self.held.held), self.compressing.waiting), (1, 2))
        self.held.release()
        for digest, data in kept:
            self.assert_kept(digest, data, COMPRESSED)

    def test_evicted_before(self) -> None:
        """A blob that was evicted while it waited is no failure."""
        self.put_text(100_000)
        digest, _ = self.put_text(200_000)
        self.tier.inventory.evict([digest.key])
        self.held.release()
        self.assertEqual(self.compressing.compressed, 1)
        self.assertIsNone(self.tier.inventory.find(digest))

    def test_evicted_meanwhile(self) -> None:
        """A blob that was evicted while it was compressed does not come back."""
        digest, _ = self.put_text(2_000_000)
        run = self.held.held.pop(0)
        self.tier.inventory.evict([digest.key])
        self.held.held.append(run)
        self.held.release()
        self.assertIsNone(self.tier.inventory.find(digest))
        self.assertFalse(self.path(digest).exists())
        self.assertEqual(self.compressing.passed_over, 1)

    def test_evicted_at_the_end(self) -> None:
        """Nor does one that was evicted when that was done, nor is another one taken for it."""
        for again in (False, True):
            digest, data = self.put_text(2_000_000)
            self.tier.environment.checkpoints += 1  # one more step, before it is moved
            self.held.held.pop(0)()
            self.tier.inventory.evict([digest.key])
            if again:
                self.successResultOf(put(self.tier.blobs, digest, data))
            self.held.held.pop(0)()
            found = self.tier.inventory.find(digest)
            self.assertEqual(found is not None and found[0].location == FILE, again)
            self.held.release()
        self.assertEqual(self.compressing.compressed, 1)

    def test_checkpoint(self) -> None:
        """What a checkpoint may have brought to stable storage is replaced by what is there, too."""
        synced: list[int] = []
        self.patch(os, "fsync", synced.append)
        self.put_text(100_000)
        self.held.release()
        self.assertEqual(len(synced), 0)
        digest, data = self.put_text(200_000)
        self.successResultOf(self.tier.checkpoint())
        synced.clear()
        self.held.release()
        self.assertEqual(len(synced), 1)
        self.assert_kept(digest, data, COMPRESSED)

    def test_stop(self) -> None:
        """It is stopped when the thread has ended; what waits, and comes later, stays as it is."""
        kept = [self.put_text(100_000, seed) for seed in range(2)]
        stopping = self.compressing.stopService()
        kept.append(self.put_text(100_000, 2))
        self.assertNoResult(stopping)
        self.held.release()
        self.successResultOf(stopping)
        for digest, data in kept:
            self.assert_kept(digest, data, FILE)
        self.assertEqual(self.compressing.incompressible, 0)

    def test_too_many(self) -> None:
        """What does not fit into the queue stays as it is, and is counted."""
        self.patch(compressing, "MOST_WAITING", 2)
        for seed in range(5):
            self.put_text(100_000, seed)
        self.held.release()
        self.assertEqual((self.compressing.compressed, self.compressing.passed_over), (3, 2))


class NextProcessTests(BackgroundTestCase):
    """What waits when a process ends is compressed by the next one."""

    @property
    def notes(self) -> bytes:
        return (self.folder / "compressing").read_bytes()

    def next_process(self) -> None:
        """The same folder in another process, as it were."""
        self.reopen()
        self.assertEqual(self.compressing.compressed, 0)

    def go_on(self) -> None:
        """Let it come to its end."""
        for _ in range(20):
            self.held.release()
            self.clock.advance(0)

    def test_stopped(self) -> None:
        """Those that waited, and the one that was broken off; then nothing is noted any more."""
        kept = [self.put_text(100_000, seed) for seed in range(3)]
        self.next_process()
        self.go_on()
        for digest, data in kept:
            self.assert_kept(digest, data, COMPRESSED)
        self.assertEqual(self.notes, b"")

    def test_broken_off(self) -> None:
        """One that was being compressed, when no other waited."""
        digest, data = self.put_text(1_000_000)
        self.next_process()
        self.go_on()
        self.assert_kept(digest, data, COMPRESSED)

    def test_killed(self) -> None:
        """Those of a process that had no time to say anything."""
        kept = [self.put_text(100_000, seed) for seed in range(3)]
        killed = Path(self.mktemp())
        shutil.copytree(self.folder, killed)
        self.close_tier(self.tier)
        self.folder = killed
        self.open_tier()
        self.go_on()
        self.assertEqual(self.compressing.compressed, 3)
        for digest, data in kept:
            self.assert_kept(digest, data, COMPRESSED)

    def test_new_ones_first(self) -> None:
        """What comes meanwhile is done before what was left, and nothing is forgotten at a third start."""
        left = [self.put_text(100_000, seed) for seed in range(3)]
        self.next_process()
        self.held.held.pop(0)()  # the notes are read
        come = self.put_text(50_000)
        for _ in range(3):  # the first that was left is made and synced, then this
            self.held.held.pop(0)()
        self.assertEqual(self.record(come[0]).location, COMPRESSED)
        self.assertEqual(self.compressing.compressed, 2)
        self.next_process()
        self.go_on()
        for digest, data in left:
            self.assert_kept(digest, data, COMPRESSED)

    def test_stable_storage(self) -> None:
        """They may be on stable storage, so what replaces them is brought there first."""
        self.put_text(100_000)
        self.next_process()
        synced: list[int] = []
        self.patch(os, "fsync", synced.append)
        self.go_on()
        self.assertEqual((self.compressing.compressed, len(synced)), (1, 1))

    def test_done_since(self) -> None:
        """Notes of what was evicted or compressed, and lines that are no notes, are passed over."""
        gone, _ = self.put_text(100_000, 1)
        digest, data = self.put_text(100_000, 2)
        notes = self.notes
        self.go_on()
        self.tier.inventory.evict([gone.key])
        self.close_tier(self.tier)
        garbage = b"\xff\n\n01 5\n01zz 6\n99ff 7\n" + notes[:50]
        (self.folder / "compressing").write_bytes(notes * 100 + garbage)
        self.open_tier()
        self.go_on()
        self.assertEqual(self.compressing.compressed, 0)
        self.assertEqual(self.compressing.passed_over, 0)
        self.assertEqual(self.notes, b"")
        self.assert_kept(digest, data, COMPRESSED)

    def test_compressed_and_not_said(self) -> None:
        """A file that was compressed when the process was killed, of which the index does not know yet, is
        no damage.
        """
        digest, data = self.put_text(60_000)
        notes = self.notes
        self.go_on()
        stamp = self.record(digest).stamp - 1
        plain = BlobRecord(self.tier.last_use.now, FILE, digest.size_bytes, stamp)
        self.tier.inventory.restamp(digest.key, plain)
        self.close_tier(self.tier)
        (self.folder / "compressing").write_bytes(notes)
        self.open_tier()
        self.go_on()
        self.assertEqual(self.tier.inventory.damaged, 0)
        self.assert_kept(digest, data, COMPRESSED)

    def test_no_notes(self) -> None:
        """Where nothing can be noted blobs are compressed all the same."""
        self.close_tier(self.tier)
        (self.folder / "compressing").unlink()
        (self.folder / "compressing").mkdir()
        self.open_tier()
        digest, data = self.put_text(100_000)
        self.go_on()
        self.assert_kept(digest, data, COMPRESSED)


class TroubleTests(BackgroundTestCase):
    """Whatever fails, the blob is there as it was, and the next one is compressed."""

    def test_no_room(self) -> None:
        """A cache that is too full for both forms of a blob keeps the one it has."""
        self.reopen(limit_bytes=1_500_000)
        digest, data = self.put_text(1_000_000)
        self.held.release()
        self.assert_kept(digest, data, FILE)
        self.assertEqual(self.compressing.passed_over, 1)
        self.assertEqual(self.tier.space.refusals, 0)
        self.assert_next()

    def test_disk(self) -> None:
        """A disk that is full, or broken."""
        for seed, (call, code) in enumerate(
            (
                ("pwrite", errno.ENOSPC),
                ("pwrite", errno.EIO),
                ("preadv", errno.EIO),
                ("open", errno.EMFILE),
                ("rename", errno.EIO),
            )
        ):
            digest, data = self.put_text(1_000_000, seed)
            patch = self.patch(os, call, failing(code))
            self.held.release()
            patch.restore()
            self.assert_kept(digest, data, FILE)
        self.assertEqual(self.compressing.passed_over, 5)
        self.assert_next()

    def test_anything(self) -> None:
        """What nobody has thought of is logged."""

        def fail(_: FrameFile) -> int:
            raise ZeroDivisionError

        patch = self.patch(FrameFile, "make", fail)
        digest, data = self.put_text(1_000_000)
        patch.restore()
        self.held.release()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_kept(digest, data, FILE)
        self.assert_next()

    def test_damage(self) -> None:
        """A blob whose file turns out damaged is dropped."""
        digest, _ = self.put_text(1_000_000)
        with self.path(digest).open("r+b") as file:
            file.write(b"x")
        self.held.release()
        self.assertIsNone(self.tier.inventory.find(digest))
        self.assertEqual(self.tier.inventory.damaged, 1)
        self.successResultOf(self.tier.empty_trash())
        self.assert_next()

    def assert_next(self) -> None:
        digest, data = self.put_text(20_000)
        self.held.release()
        self.assert_kept(digest, data, COMPRESSED)


class DamageTests(CompressingTestCase):
    """What somebody does to compressed files is a miss, or DATA_LOSS; never wrong bytes."""

    def setUp(self) -> None:
        super().setUp()
        self.digest, self.data = self.put_text(1_000_000)

    def change(self, position: int) -> None:
        """Flip a bit, and let the file system's clock see it."""
        path = self.path(self.digest)
        before = path.stat()
        content = bytearray(path.read_bytes())
        content[position] ^= 1
        while path.stat().st_ctime_ns == before.st_ctime_ns:
            path.write_bytes(content)

    def believe(self) -> None:
        """Take the file for one that nobody has touched."""
        stamp = self.path(self.digest).stat().st_ctime_ns
        record = self.record(self.digest)._replace(stamp=stamp)
        self.tier.inventory.restamp(self.digest.key, record)

    def assert_gone(self) -> None:
        self.failureResultOf(self.tier.blobs.get(self.digest), NotFound)
        self.assertEqual(self.tier.inventory.damaged, 1)
        self.assertEqual(self.tier.index.tallies[1], (0, 0))
        self.successResultOf(put(self.tier.blobs, self.digest, self.data))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)
        self.assertFalse([name for name in open_files() if "/cas/" in name])

    def test_touched(self) -> None:
        """A file that was only touched is hashed once and served."""
        path = self.path(self.digest)
        before = path.stat().st_ctime_ns
        while path.stat().st_ctime_ns == before:
            path.chmod(0o600)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)
        self.assertEqual(self.record(self.digest).stamp, path.stat().st_ctime_ns)
        self.assertEqual(self.tier.inventory.damaged, 0)

    def test_flipped(self) -> None:
        """A file with another byte in a frame, or in the table."""
        for position in (0, 300_000, -1):
            self.change(position)
            self.assert_gone()
            self.tier.inventory.damaged = 0

    def test_flipped_unseen(self) -> None:
        """Another byte that the file system does not tell of is found when it is expanded."""
        for position in (300_000, -1):
            self.change(position)
            self.believe()
            self.failureResultOf(read(self.tier.blobs, self.digest), DataLoss)
            self.assert_gone()
            self.tier.inventory.damaged = 0

    def test_below_the_file_system(self) -> None:
        """A disk that gives another byte of the first, a middle or the last frame of a file that nobody has
        touched, to whoever wants it in whatever form.
        """
        kept = [self.put_text(600_000, seed) for seed in range(6)]
        for number, (digest, _) in enumerate(kept, 1):
            disk = ColdDisk(self, self.path(digest))
            disk.damage((20, 200_000, self.record(digest).stored_bytes - 100)[number % 3])
            body = self.successResultOf(self.tier.blobs.get(digest))
            reading = frames_of(body) if number % 2 else body.read_all()
            self.failureResultOf(reading, DataLoss)
            self.assertEqual(self.tier.inventory.damaged, number)
            missing = self.successResultOf(self.tier.blobs.find_missing([digest]))
            self.assertEqual(missing, [digest])
            self.failureResultOf(self.tier.blobs.get(digest), NotFound)
            self.assertEqual(self.tier.inventory.damaged, number)

    def test_left_before_the_end(self) -> None:
        """What was read ahead for who left before the end is compared for the next one, and after a restart, too."""
        digest, _ = self.put_text(2_000_000)
        self.reopen()
        disk = ColdDisk(self, self.path(digest))
        disk.ahead = 1000
        disk.damage(1_000_000)
        body = self.successResultOf(self.tier.blobs.get(digest))
        self.successResultOf(first_frames_of(body))
        self.reopen()
        self.failureResultOf(read(self.tier.blobs, digest), DataLoss)
        self.assertEqual(self.tier.inventory.damaged, 1)

    def test_cut_and_removed(self) -> None:
        """A file that is shorter, be it than its table, that is longer, or is gone."""
        path = self.path(self.digest)
        for length in (300_000, 10, 0, 999_999, 2_000_000):
            os.truncate(path, length)
            self.assert_gone()
            self.tier.inventory.damaged = 0
        path.unlink()
        self.assert_gone()

    def test_frames_of_another_blob(self) -> None:
        """Right frames of something else are not the blob."""
        other, _ = self.put_text(1_000_000, 1)
        self.path(self.digest).write_bytes(self.path(other).read_bytes())
        self.tier.inventory.evict([other.key])
        self.assert_gone()


class CrashTests(CompressingTestCase):
    """Between the two forms there is no moment at which a crash loses a blob."""

    def test_moved_and_not_indexed(self) -> None:
        """A compressed file that the index takes for the blob itself is recognized, and served."""
        digest, data = self.put_text(1_000_000)
        record = self.record(digest)._replace(location=FILE, stamp=1, compressed_bytes=0)
        self.tier.inventory.restamp(digest.key, record)
        self.reopen()
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)
        self.assertEqual(self.record(digest).location, COMPRESSED)
        length = self.path(digest).stat().st_size
        self.assertEqual(self.tier.index.tallies[1], (1, disk_bytes(length)))

    def test_indexed_and_not_moved(self) -> None:
        """A blob itself that the index takes for a compressed file is recognized, and served."""
        digest, data = self.put_text(1_000_000)
        self.path(digest).write_bytes(data)
        self.reopen()
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)
        self.assertEqual(self.record(digest).location, FILE)
        self.assertEqual(self.tier.index.tallies[1], (1, disk_bytes(1_000_000)))

    def test_index_fails_after_the_move(self) -> None:
        """The same where the index has no room for the new record."""
        put_blob, calls = IndexWrite.put_blob, iter((True, False))

        def failing_once(*given: Any) -> None:
            if not next(calls, True):
                raise Unavailable("no index")
            put_blob(*given)

        self.patch(IndexWrite, "put_blob", failing_once)
        digest, data = self.put_text(1_000_000)
        self.assertEqual(self.record(digest).location, FILE)
        self.assertEqual(self.compressing.passed_over, 1)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)
        self.assertEqual(self.record(digest).location, COMPRESSED)

    def test_killed(self) -> None:
        """A process that is killed at any step has kept the blob, and leaves nothing else; the next one
        compresses it if that was not done.
        """
        command = [
            sys.executable,
            "-m",
            "tests.storage.compression_crash",
            str(self.folder.absolute()),
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(command, check=True, cwd=ROOT, env=environment)
        self.close_tier(self.tier)
        root, (digest, data) = self.folder, text(SIZE)
        for name in STEPS:
            for when in ("before", "after"):
                self.folder = root / f"{when} {name}"
                self.open_tier()
                self.assertEqual(self.record(digest).location, COMPRESSED, self.folder.name)
                self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)
                length = self.path(digest).stat().st_size
                self.assertEqual(self.tier.index.tallies[1], (1, disk_bytes(length)))
                self.assertEqual(self.left_behind(), [])
                self.close_tier(self.tier)
