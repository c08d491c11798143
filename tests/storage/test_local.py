"""The stores on disk: what is there, what is damaged, what does not fit."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs

from gorego_tw.body import BytesBody
from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, NotFound, ResourceExhausted, Unavailable
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage import local
from gorego_tw.storage.disk_threads import HeldDiskThreads
from gorego_tw.storage.file_body import FIRST_CHUNK
from gorego_tw.storage.local import action_key
from tests.storage.cold_disk import ColdDisk
from tests.storage.contract import ActionResultsContract, BlobAccessContract
from tests.storage.tiers import TierTestCase, blob, in_pieces, open_files, put, read


class LocalBlobsTests(BlobAccessContract, TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = self.tier.blobs

    def tearDown(self) -> None:
        """After every test of the contract, nothing is left over."""
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(self.tier.space.reserved_bytes, 0)
        self.assertFalse([name for name in open_files() if "/cas/" in name])


class LocalActionResultsTests(ActionResultsContract, TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.results = self.tier.action_results

    def test_kept_across_restarts(self) -> None:
        """A result is there after a restart."""
        result = StoredActionResult(b"result", (blob(1)[0],))
        self.successResultOf(self.results.put(self.key(), result))
        self.reopen()
        self.assertEqual(self.successResultOf(self.tier.action_results.get(self.key())), result)


class KeepingTests(TierTestCase):
    def test_kept_across_restarts(self) -> None:
        """Blobs are there after a restart, and what they take is known."""
        kept = [self.put(size) for size in (10, 4080, 4081, 700_000)]
        used = self.tier.space.used_bytes
        self.reopen()
        for digest, data in kept:
            self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)
        self.assertEqual(self.tier.space.used_bytes, used)

    def test_used_bytes(self) -> None:
        """A file counts with its blocks, and nothing counts when it is gone."""
        before = self.tier.space.used_bytes
        digest, _ = self.put(5000)
        tally = self.tier.index.tallies[1]
        self.assertEqual((tally.entries, tally.file_bytes), (1, 8192))
        self.assertGreaterEqual(self.tier.space.used_bytes, before + 8192)
        self.tier.inventory.evict([digest.key])
        tally = self.tier.index.tallies[1]
        self.assertEqual((tally.entries, tally.file_bytes), (0, 0))

    def test_concurrent_puts(self) -> None:
        """Of two puts of one blob at once both are verified, and one is kept."""
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        digest, data = blob(100_000)
        wrong = bytes([data[0] ^ 1]) + data[1:]
        puts = [
            Deferred.fromCoroutine(self.tier.blobs.put(digest, BytesBody(given)))
            for given in (data, data, wrong)
        ]
        threads.release()
        self.successResultOf(puts[0])
        self.successResultOf(puts[1])
        self.failureResultOf(puts[2])
        self.assertEqual(self.left_behind(), [])
        reading = Deferred.fromCoroutine(read(self.tier.blobs, digest))
        threads.release()
        self.assertEqual(self.successResultOf(reading), data)

    def test_hot_blob_takes_no_thread(self) -> None:
        """What is in memory is read at once, whatever its size; hashed in threads when a process reads it for
        the first time, unless it has written it.
        """
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        digest, data = blob(1_500_000)
        putting = Deferred.fromCoroutine(put(self.tier.blobs, digest, data))
        threads.release()
        self.successResultOf(putting)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)
        self.reopen(threads=threads)
        reading = Deferred.fromCoroutine(read(self.tier.blobs, digest))
        self.assertNoResult(reading)
        threads.release()
        self.assertEqual(self.successResultOf(reading), data)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_evicted_while_put_again(self) -> None:
        """A blob that is evicted while it is sent again is not said to be here."""
        threads = HeldDiskThreads()
        digest, data = self.put(700_000)
        self.reopen(threads=threads)
        putting = Deferred.fromCoroutine(put(self.tier.blobs, digest, data))
        self.tier.inventory.evict([digest.key])
        threads.release()
        self.failureResultOf(putting, Unavailable)
        putting = Deferred.fromCoroutine(put(self.tier.blobs, digest, data))
        threads.release()
        self.successResultOf(putting)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_evicted_while_read(self) -> None:
        """A blob that is evicted while it is read is read to its end."""
        digest, data = self.put(300_000)
        body = self.successResultOf(self.tier.blobs.get(digest))
        self.tier.inventory.evict([digest.key])
        self.successResultOf(self.tier.empty_trash())
        self.assertEqual(self.successResultOf(body.read_all()), data)
        self.failureResultOf(self.tier.blobs.get(digest), NotFound)


class DamageTests(TierTestCase):
    """What somebody does to the files is found, and is a miss."""

    def setUp(self) -> None:
        super().setUp()
        self.digest, self.data = self.put(300_000)
        context = capturedLogs()
        self.events = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def reports(self) -> list[object]:
        """What the log says of damage."""
        return [event["damage"] for event in self.events if "damage" in event]

    def assert_dropped(self, digest: Digest | None = None) -> None:
        """The blob is absent, told so in the log once, and can be put again."""
        digest = digest or self.digest
        self.failureResultOf(self.tier.blobs.get(digest), NotFound)
        self.assert_gone(digest)
        self.successResultOf(put(self.tier.blobs, self.digest, self.data))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)

    def assert_gone(self, digest: Digest) -> None:
        self.assertEqual(self.successResultOf(self.tier.blobs.find_missing([digest])), [digest])
        self.assertEqual(len(self.reports()), 1)
        self.assertEqual(self.tier.inventory.damaged, 1)
        self.assertFalse([name for name in open_files() if "/cas/" in name])

    def change(self, change: Callable[[Path], object]) -> None:
        """Change the file until the file system's clock has seen it, and restore its times."""
        path = self.path(self.digest)
        before = path.stat()
        while path.stat().st_ctime_ns == before.st_ctime_ns:
            change(path)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def test_removed(self) -> None:
        """A file that is gone."""
        self.path(self.digest).unlink()
        self.assert_dropped()

    def test_folder_removed(self) -> None:
        """All files gone."""
        shutil.rmtree(self.folder / "cas")
        (self.folder / "cas").mkdir()
        self.assert_dropped()

    def test_truncated(self) -> None:
        """A file that is shorter."""
        os.truncate(self.path(self.digest), 100_000)
        self.assert_dropped()

    def test_extended(self) -> None:
        """A file that is longer."""
        os.truncate(self.path(self.digest), 400_000)
        self.assert_dropped()

    def test_flipped(self) -> None:
        """A file with another byte in it, and with the times it had."""

        def flip(path: Path) -> None:
            with path.open("r+b") as file:
                file.seek(200_000)
                file.write(bytes([self.data[200_000] ^ 1]))

        self.change(flip)
        self.assert_dropped()

    def test_replaced_by_a_folder(self) -> None:
        """A folder in the place of a file."""
        self.path(self.digest).unlink()
        (self.path(self.digest) / "inside").mkdir(parents=True)
        self.assert_dropped()

    def test_replaced_by_a_folder_unseen(self) -> None:
        """A folder in the place of a file whose blob is put before it is read."""
        self.tier.inventory.evict([self.digest.key])
        self.path(self.digest).mkdir()
        self.successResultOf(put(self.tier.blobs, self.digest, self.data))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)

    def test_replaced_by_a_pipe(self) -> None:
        """A pipe in the place of a file does not stop the reactor."""
        self.path(self.digest).unlink()
        os.mkfifo(self.path(self.digest))
        self.assert_dropped()

    def test_touched(self) -> None:
        """A file that was only touched is hashed once and served."""
        self.change(lambda path: path.chmod(0o600))
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        reading = Deferred.fromCoroutine(read(self.tier.blobs, self.digest))
        self.assertNoResult(reading)
        threads.release()
        self.assertEqual(self.successResultOf(reading), self.data)
        self.assertEqual(self.reports(), [])
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)

    def test_touched_and_asked_for_by_many(self) -> None:
        """Who asks for a file while it is hashed waits for that; also if its first reader goes away."""
        self.change(lambda path: path.chmod(0o600))
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        first, *others = [
            Deferred.fromCoroutine(read(self.tier.blobs, self.digest)) for _ in range(5)
        ]
        first.cancel()
        self.assertEqual(len(threads.held), 1)
        threads.held.pop()()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(len(threads.held), 1)
        threads.release()
        self.assertEqual([self.successResultOf(reading) for reading in others], 4 * [self.data])

    def test_damaged_and_asked_for_by_many(self) -> None:
        """What turns out damaged is absent for all of them, and dropped once."""
        self.change(lambda path: path.write_bytes(self.data[::-1]))
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        readings = [Deferred.fromCoroutine(read(self.tier.blobs, self.digest)) for _ in range(3)]
        threads.release()
        for reading in readings:
            self.failureResultOf(reading, NotFound)
        self.assert_gone(self.digest)

    def test_touched_and_large(self) -> None:
        """A large file lets others have the thread again and again, and is not hashed on for who has left."""
        digest, _ = self.put(5_000_000)
        self.path(digest).chmod(0o600)
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        getting = Deferred.fromCoroutine(self.tier.blobs.get(digest))
        threads.held.pop()()
        self.assertNoResult(getting)
        self.assertEqual(len(threads.held), 1)
        getting.cancel()
        threads.held.pop()()
        self.failureResultOf(getting, CancelledError)
        self.assertEqual(threads.held, [])

    def test_in_doubt(self) -> None:
        """A file in doubt is hashed once, from the disk, and again when it is in doubt once more."""
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        disk = ColdDisk(self, self.path(self.digest))
        for _ in range(2):
            self.tier.distrust(0)
            disk.warm(0, len(self.data))
            reading = Deferred.fromCoroutine(read(self.tier.blobs, self.digest))
            self.assertNoResult(reading)
            threads.release()
            self.assertEqual(self.successResultOf(reading), self.data)
            again = read(self.tier.blobs, self.digest)
            self.assertEqual(self.successResultOf(again), self.data)
        disk.damage(200_000)
        self.tier.distrust(0)
        getting = Deferred.fromCoroutine(self.tier.blobs.get(self.digest))
        threads.release()
        self.failureResultOf(getting, NotFound)

    def test_forgotten_in_a_thread(self) -> None:
        """What is in memory of a file in doubt is let go of in a thread: what was not written yet is written first."""
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        self.tier.distrust(0)
        advised: list[int] = []
        patch = self.patch(os, "posix_fadvise", lambda *advice: advised.append(advice[-1]))
        getting = Deferred.fromCoroutine(self.tier.blobs.get(self.digest))
        self.assertEqual(advised, [])
        threads.release()
        patch.restore()
        self.successResultOf(getting).discard()
        self.assertEqual(advised, [os.POSIX_FADV_DONTNEED])

    def test_dropped_while_hashed(self) -> None:
        """A blob that was evicted while it was hashed is served, and does not come back."""
        threads = HeldDiskThreads()
        self.change(lambda path: path.chmod(0o600))
        self.reopen(threads=threads)
        getting = Deferred.fromCoroutine(self.tier.blobs.get(self.digest))
        self.tier.inventory.evict([self.digest.key])
        threads.release()
        self.successResultOf(getting).discard()
        self.assertIsNone(self.tier.inventory.find(self.digest))

    def test_cancelled_while_hashed(self) -> None:
        """Who goes away while a file is hashed leaves nothing open."""
        threads = HeldDiskThreads()
        self.change(lambda path: path.chmod(0o600))
        self.reopen(threads=threads)
        before = open_files()
        getting = Deferred.fromCoroutine(self.tier.blobs.get(self.digest))
        getting.cancel()
        self.assertNoResult(getting)
        threads.release()
        self.failureResultOf(getting, CancelledError)
        self.assertEqual(open_files(), before)

    def test_truncated_while_read(self) -> None:
        """A file that gets shorter while it is read ends in DATA_LOSS, not in wrong bytes."""
        digest, data = self.put(FIRST_CHUNK + 1000)
        body = self.successResultOf(self.tier.blobs.get(digest))
        pieces = body.chunks()
        first = self.successResultOf(anext(pieces))
        self.assertEqual(bytes(first), data[:FIRST_CHUNK])
        os.truncate(self.path(digest), FIRST_CHUNK)
        self.failureResultOf(anext(pieces), DataLoss)
        self.assert_gone(digest)

    def test_unreadable(self) -> None:
        """A disk that cannot read the file is trouble at first, and the blob is dropped if that lasts."""
        body = self.successResultOf(self.tier.blobs.get(self.digest))
        self.patch(os, "preadv", failing(errno.EIO))
        self.failureResultOf(body.read_all(), Unavailable)
        self.tier.unreadable.startService()
        self.clock.pump([10] * 7)
        self.assert_gone(self.digest)

    def test_disk_away_for_a_moment(self) -> None:
        """A file that cannot be opened, or not be verified, is trouble."""
        for number in (errno.EIO, errno.ESTALE, errno.EACCES):
            digest, data = self.put(10_000, number)
            patch = self.patch(os, "open", failing(number))
            self.failureResultOf(self.tier.blobs.get(digest), Unavailable)
            patch.restore()
            self.path(digest).touch()
            patch = self.patch(os, "preadv", failing(number))
            self.failureResultOf(self.tier.blobs.get(digest), Unavailable)
            patch.restore()
            self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)
        self.assertEqual(self.reports(), [])

    def test_disk_away_while_in_doubt(self) -> None:
        """While files are compared with the index a disk that is away says nothing of what is gone."""
        self.tier.distrust(0)
        patch = self.patch(os, "lstat", failing(errno.EIO))
        opened = self.patch(os, "open", failing(errno.EIO))
        self.failureResultOf(self.tier.blobs.get(self.digest), Unavailable)
        self.assertEqual(self.successResultOf(self.tier.blobs.find_missing([self.digest])), [])
        patch.restore()
        opened.restore()
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)

    def test_below_the_file_system(self) -> None:
        """A disk that gives other bytes than were written, of a file that nobody has touched."""
        disk = ColdDisk(self, self.path(self.digest))
        disk.damage(200_000)
        self.failureResultOf(read(self.tier.blobs, self.digest), DataLoss)
        self.assertEqual(self.reports(), ["other bytes than were found right before"])
        self.assert_dropped()

    def test_below_the_file_system_later(self) -> None:
        """The same in another process than that which has written it."""
        self.reopen()
        ColdDisk(self, self.path(self.digest)).damage(200_000)
        self.failureResultOf(read(self.tier.blobs, self.digest), DataLoss)
        self.assertEqual(self.reports(), ["wrong hash"])
        self.assert_dropped()

    def test_evicted_while_found(self) -> None:
        """One that was evicted while it was read is told to its reader, and what was put again stays."""
        disk = ColdDisk(self, self.path(self.digest))
        disk.damage(200_000)
        body = self.successResultOf(self.tier.blobs.get(self.digest))
        self.tier.inventory.evict([self.digest.key])
        self.successResultOf(put(self.tier.blobs, self.digest, self.data))
        self.failureResultOf(body.read_all(), DataLoss)
        self.assertEqual(self.reports(), [])
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)

    def test_left_before_the_end(self) -> None:
        """What was read ahead for who left before the end is compared after a restart, too."""
        digest, _ = self.put(1_500_000)
        self.reopen()
        disk = ColdDisk(self, self.path(digest))
        disk.ahead = 1000
        disk.damage(1_400_000)
        pieces = self.successResultOf(self.tier.blobs.get(digest)).chunks()
        self.successResultOf(anext(pieces))
        del pieces
        self.reopen()
        self.failureResultOf(read(self.tier.blobs, digest), DataLoss)
        self.assertEqual(self.tier.inventory.damaged, 1)

    def test_not_opened(self) -> None:
        """A process with too many files open says so; nothing is dropped."""
        self.patch(os, "open", failing(errno.EMFILE))
        self.failureResultOf(self.tier.blobs.get(self.digest), Unavailable)
        self.assertEqual(self.successResultOf(self.tier.blobs.find_missing([self.digest])), [])

    def test_inline(self) -> None:
        """Wrong bytes in the index."""
        digest, data = self.put(100)
        record, _ = self.tier.index.blob(digest.key) or self.fail()
        with self.tier.index.write() as txn:
            txn.put_blob(digest.key, record, bytes([data[0] ^ 1]) + data[1:])
        self.assert_dropped(digest)

    def test_unreadable_record(self) -> None:
        """A record that is none."""
        with self.tier.environment.begin(write=True) as txn:
            txn.put(self.digest.key, b"?", db=self.tier.environment.blobs)
        self.assert_dropped()

    def test_action_result(self) -> None:
        """An action result without its checksum."""
        key = ActionKey("", self.digest)
        result = StoredActionResult(b"result", (self.digest,))
        self.successResultOf(self.tier.action_results.put(key, result))
        packed = self.tier.index.action(action_key(key)) or b""
        for position in range(4, len(packed)):
            wrong = bytearray(packed)
            wrong[position] ^= 1
            with self.tier.index.write() as txn:
                txn.put_action(action_key(key), bytes(wrong))
            self.failureResultOf(self.tier.action_results.get(key), NotFound)
            self.assertIsNone(self.tier.index.action(action_key(key)))
        with self.tier.index.write() as txn:
            txn.put_action(action_key(key), packed[:6])
        self.failureResultOf(self.tier.action_results.get(key), NotFound)


class DoubtedFilesTests(TierTestCase):
    """FindMissingBlobs while files are compared with the index."""

    def setUp(self) -> None:
        super().setUp()
        self.digests = [self.put(5000, seed)[0] for seed in range(6)]
        self.threads = HeldDiskThreads()
        self.reopen(threads=self.threads)
        self.gone = self.digests[2]
        self.path(self.gone).unlink()
        self.tier.distrust(0)
        self.patch(local, "LOOKED_AT_ONCE", 4)
        self.lstat = self.patch(os, "lstat", failing(errno.ENOENT))

    def test_looked_at_in_a_thread(self) -> None:
        """Files are looked at in threads, some at a time; those that are gone are missing."""
        asked = Deferred.fromCoroutine(self.tier.blobs.find_missing(self.digests))
        self.assertEqual(len(self.threads.held), 1)
        self.lstat.restore()
        self.threads.held.pop()()
        self.assertNoResult(asked)
        self.threads.held.pop()()
        self.assertEqual(self.successResultOf(asked), [self.gone])
        self.assertIsNone(self.tier.inventory.record(self.gone.key))

    def test_compared_already(self) -> None:
        """Files are not looked at whose folder was compared already."""
        doubt = self.tier.inventory.doubt
        assert doubt is not None
        doubt.position = 256
        asked = self.tier.blobs.find_missing(self.digests)
        self.assertEqual(self.successResultOf(asked), [])
        self.lstat.restore()

    def test_small_ones(self) -> None:
        """Blobs that are no files are not looked for among them."""
        digest, _ = self.put(100)
        asked = Deferred.fromCoroutine(self.tier.blobs.find_missing([digest]))
        self.threads.release()
        self.assertEqual(self.successResultOf(asked), [])
        self.lstat.restore()


class ManyTests(TierTestCase):
    def test_turns(self) -> None:
        """Of very many blobs some are looked for at a time; each that is missing is told once, in their order."""
        self.patch(local, "ASKED_AT_ONCE", 4)
        there = [self.put(100, seed)[0] for seed in range(6)]
        gone = [blob(100, seed)[0] for seed in range(6, 9)]
        asked = [gone[2], *there, gone[0], gone[2], gone[1], gone[1]]
        found = Deferred.fromCoroutine(self.tier.blobs.find_missing(asked))
        self.assertNoResult(found)
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(found), [gone[2], gone[0], gone[1]])


class RoomTests(TierTestCase):
    def test_larger_than_the_limit(self) -> None:
        """A blob that can never fit is refused, and so is its body."""
        self.reopen(limit_bytes=1_000_000)
        digest, data = blob(1_500_000)
        body = in_pieces(data)
        failure = self.failureResultOf(self.tier.blobs.put(digest, body), ResourceExhausted)
        self.assertIn("limit of 1000000", str(failure.value))
        self.assertTrue(body.closed)

    def test_full(self) -> None:
        """What does not fit now is refused, with the time to try again; smaller things are not."""
        self.reopen(limit_bytes=1_000_000)
        self.put(700_000)
        failure = self.failureResultOf(put(self.tier.blobs, *blob(500_000)), ResourceExhausted)
        self.assertEqual(failure.value.details[0].retry_delay.seconds, 2)
        self.put(10_000)

    def test_full_for_small_things(self) -> None:
        """The limit holds for what is in the index as well."""
        self.reopen(limit_bytes=300_000)
        digest, _ = blob(4000)
        with self.assertRaises(AssertionError):
            for seed in range(300):
                self.put(4000, seed)
        self.assertLessEqual(self.tier.space.used_bytes, 300_000)
        result = StoredActionResult(b"x" * 10_000, ())
        storing = self.tier.action_results.put(ActionKey("", digest), result)
        self.failureResultOf(storing, ResourceExhausted)

    def test_disk_full(self) -> None:
        """A full disk refuses the blob, and nothing is left of it."""
        digest, data = blob(1_500_000)
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            for call in ("pwrite", "rename", "makedirs", "open"):
                patch = self.patch(os, call, failing(code))
                self.failureResultOf(put(self.tier.blobs, digest, data), ResourceExhausted)
                patch.restore()
                self.assertEqual(self.left_for_good(), [])
                self.assertEqual(self.tier.space.reserved_bytes, 0)
        self.assertEqual(self.successResultOf(self.tier.blobs.find_missing([digest])), [digest])
        self.successResultOf(put(self.tier.blobs, digest, data))

    def test_other_trouble(self) -> None:
        """A disk that fails otherwise makes the tier unavailable."""
        self.patch(os, "pwrite", failing(errno.EIO))
        failure = self.failureResultOf(put(self.tier.blobs, *blob(10_000)), Unavailable)
        self.assertEqual(str(failure.value), "local tier: Input/output error")
        self.assertEqual(self.left_behind(), [])

    def test_short_writes(self) -> None:
        """A system that writes less than it was given is asked again."""
        pwrite = os.pwrite
        self.patch(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:100_000], offset))
        digest, data = self.put(1_500_000)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)


class CancellationTests(TierTestCase):
    def test_while_put(self) -> None:
        """A put that is cancelled at any of its waits leaves nothing behind."""
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        before = open_files()
        digest, data = blob(1_500_000)
        for waits in range(3):
            putting = Deferred.fromCoroutine(self.tier.blobs.put(digest, in_pieces(data)))
            for _ in range(waits):
                threads.held.pop(0)()
            putting.cancel()
            self.assertNoResult(putting)
            threads.release()
            self.failureResultOf(putting, CancelledError)
            self.assertEqual(self.left_for_good(), [])
            self.assertEqual(open_files(), before)
            self.assertEqual(self.tier.space.reserved_bytes, 0)


def failing(code: int) -> Callable[..., object]:
    """A system call that fails."""

    def fail(*_: object, **__: object) -> object:
        raise OSError(code, os.strerror(code))

    return fail
