"""Uploads that survive their connection, their process, and a full disk."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred

from gorego_tw.digest import Digest
from gorego_tw.errors import ResourceExhausted, Unavailable
from gorego_tw.interfaces import IUpload
from gorego_tw.storage.blob_writer import WRITE_CHUNK
from gorego_tw.storage.disk_threads import HeldDiskThreads
from gorego_tw.storage.doubt import Doubt
from gorego_tw.storage.records import Tally, disk_bytes
from gorego_tw.storage.uploads import ABANDONED_SECONDS
from tests.storage.contract import UploadsContract
from tests.storage.test_local import failing
from tests.storage.tiers import SIZES, TierTestCase, blob, open_files, read


class LocalUploadsTests(UploadsContract, TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.uploads = self.tier.uploads
        self.store = self.tier.blobs


class UploadsTestCase(TierTestCase):
    def begin(self, size_bytes: int, name: str = "name") -> tuple[IUpload, bytes]:
        digest, data = blob(size_bytes)
        return self.successResultOf(self.tier.uploads.open(name, digest)), data

    def size(self, name: str = "name") -> int:
        return int(self.successResultOf(self.tier.uploads.committed_size(name)))

    def suspended(self, size_bytes: int, held: int, name: str = "name") -> bytes:
        upload, data = self.begin(size_bytes, name)
        self.successResultOf(upload.write(data[:held]))
        self.successResultOf(upload.suspend())
        return data

    def partials(self) -> list[Path]:
        return list((self.folder / "uploads").iterdir())


class RestartTests(UploadsTestCase):
    def test_resume_in_another_process(self) -> None:
        """What was suspended is gone on with to the byte after a restart."""
        for size_bytes in SIZES:
            held = size_bytes * 2 // 3
            data = self.suspended(size_bytes, held)
            self.reopen()
            self.assertEqual(self.size(), held)
            upload, _ = self.begin(size_bytes)
            self.assertEqual(upload.committed_size, held)
            self.successResultOf(upload.write(data[held:]))
            self.successResultOf(upload.commit())
            self.assertEqual(self.successResultOf(read(self.tier.blobs, blob(size_bytes)[0])), data)
            self.assertEqual(self.left_behind(), [])

    def test_active_at_the_end(self) -> None:
        """What is active when the tier is closed is kept."""
        upload, data = self.begin(100_000)
        self.successResultOf(upload.write(data[:777]))
        self.reopen()
        self.assertEqual(self.size(), 777)

    def test_counted(self) -> None:
        """What is held counts as used, also after a restart, until it is gone on with."""
        used = self.tier.space.used_bytes
        self.suspended(1_000_000, 600_000)
        self.assertEqual(self.tier.space.used_bytes, used + disk_bytes(600_000))
        self.reopen()
        self.assertEqual(self.tier.space.partial_bytes, disk_bytes(600_000))
        upload, _ = self.begin(1_000_000)
        self.assertEqual(self.tier.space.partial_bytes, 0)
        self.assertEqual(self.tier.space.reserved_bytes, disk_bytes(1_000_000))
        self.successResultOf(upload.abandon())
        self.assertEqual(self.tier.space.reserved_bytes, 0)

    def test_damaged_meanwhile(self) -> None:
        """What is held is hashed again: a file that was changed does not become a blob."""
        data = self.suspended(1_000_000, 600_000)
        (path,) = self.partials()
        with path.open("r+b") as file:
            file.write(bytes([data[0] ^ 1]))
        upload, _ = self.begin(1_000_000)
        self.successResultOf(upload.write(data[600_000:]))
        self.failureResultOf(upload.commit())
        self.assertEqual(self.left_behind(), [])

    def test_temporary_files(self) -> None:
        """What no later process can ask for is deleted at the start."""
        (self.folder / "uploads" / "put-1.2").write_bytes(b"x" * 10_000)
        self.reopen()
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(self.tier.space.partial_bytes, 0)

    def test_bad_leftovers(self) -> None:
        """What the disk does not let be deleted is no reason not to start, nor that others are not."""
        folder = self.folder / "uploads"
        self.suspended(1_000_000, 600_000)
        (name,) = (path.name for path in self.partials())
        for number in range(5):
            (folder / f"put-1.{number}").write_bytes(b"x" * 10_000)
        unlink = os.unlink

        def fail(path: str | Path) -> None:
            if str(path).endswith(("put-1.2", name)):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            unlink(path)

        self.close_tier(self.tier)
        self.patch(os, "unlink", fail)
        self.open_tier()
        self.assertEqual(set(self.left_behind()), {"put-1.2", name})
        self.assertEqual(self.tier.space.partial_bytes, disk_bytes(600_000))
        self.tier.uploads.restore(whole=False)
        self.assertEqual(self.tier.space.partial_bytes, 2 * disk_bytes(600_000))

    def test_unreadable_folder(self) -> None:
        """Nor is a folder of uploads that cannot be read."""
        self.suspended(1_000_000, 600_000)
        self.close_tier(self.tier)
        scandir = os.scandir

        def fail(path: str | Path) -> Iterator[os.DirEntry[str]]:
            if str(path).endswith("/uploads"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return scandir(path)

        self.patch(os, "scandir", fail)
        self.open_tier()
        self.assertEqual(self.tier.space.partial_bytes, 0)


class AbandonedTests(UploadsTestCase):
    def age(self) -> None:
        """Let everything held be older than a day."""
        self.clock.advance(2 * ABANDONED_SECONDS)
        for path in self.partials():
            os.utime(path, (0, 0))

    def test_deleted_after_a_day(self) -> None:
        """What nobody goes on with is deleted, and no longer counts."""
        self.suspended(1_000_000, 600_000)
        self.age()
        self.successResultOf(self.tier.uploads.drop_abandoned())
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(self.tier.space.partial_bytes, 0)
        self.assertEqual(self.tier.uploads.abandoned, 1)

    def test_bad_ones_are_left(self) -> None:
        """One that cannot be deleted keeps its room, and no others from being deleted."""
        for name in ("one", "two", "three"):
            self.suspended(1_000_000, 600_000, name)
        self.age()
        bad = self.partials()[1]
        unlink = os.unlink

        def fail(path: str) -> None:
            if path == str(bad):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            unlink(path)

        self.patch(os, "unlink", fail)
        self.successResultOf(self.tier.uploads.drop_abandoned())
        self.assertEqual(self.left_behind(), [bad.name])
        self.assertEqual(self.tier.space.partial_bytes, disk_bytes(600_000))

    def test_younger_ones_are_kept(self) -> None:
        """What is younger than a day is not deleted."""
        self.suspended(1_000_000, 600_000)
        self.successResultOf(self.tier.uploads.drop_abandoned())
        self.assertEqual(self.size(), 600_000)

    def test_active_ones_are_kept(self) -> None:
        """What somebody goes on with is not deleted, however old it is."""
        data = self.suspended(1_000_000, 600_000)
        upload, _ = self.begin(1_000_000)
        self.age()
        self.successResultOf(self.tier.uploads.drop_abandoned())
        self.successResultOf(upload.write(data[600_000:]))
        self.successResultOf(upload.commit())


class MakingRoomTests(UploadsTestCase):
    """What nobody goes on with goes before anything that is whole, if there is too much."""

    def setUp(self) -> None:
        super().setUp()
        self.clock.advance(time.time() - self.clock.seconds())
        self.reopen(limit_bytes=32_000_000)
        self.names: dict[str, Path] = {}

    def crowd(self) -> None:
        """Have 1 MB too much."""
        self.tier.space.wanted_bytes = 1_000_000 - self.tier.space.excess_bytes

    def make_room(self) -> list[str]:
        """Whose uploads are left."""
        self.successResultOf(self.tier.uploads.make_room())
        left = self.partials()
        return [name for name, path in self.names.items() if path in left]

    def suspend_some(self, size_bytes: int) -> None:
        """Suspend four, one after the other."""
        for age, name in zip((900, 800, 700, 20), "abcd", strict=True):
            self.suspend_one(name, size_bytes, age)

    def suspend_one(self, name: str, size_bytes: int, age: float) -> None:
        before = set(self.partials())
        self.suspended(size_bytes, size_bytes - 1, name)
        (self.names[name],) = set(self.partials()) - before
        os.utime(self.names[name], (0, self.clock.seconds() - age))

    def test_with_room(self) -> None:
        """With room enough all stay."""
        self.suspend_some(1_500_000)
        self.assertEqual(self.make_room(), ["a", "b", "c", "d"])

    def test_as_much_as_is_needed(self) -> None:
        """The oldest go, as many as are needed for it."""
        self.suspend_some(400_000)
        self.crowd()
        used = self.tier.space.used_bytes
        self.assertEqual(self.make_room(), ["d"])
        self.assertEqual(self.tier.space.partial_bytes, disk_bytes(400_000))
        self.assertEqual(self.tier.space.used_bytes, used - 3 * disk_bytes(400_000))
        self.assertEqual(self.tier.uploads.abandoned, 3)

    def test_young_ones(self) -> None:
        """A client that lost its connection just now can go on, unless all of them take a large part."""
        self.suspend_some(1_000_000)
        self.crowd()
        self.tier.space.wanted_bytes = 1 << 30
        self.assertEqual(self.make_room(), ["d"])
        self.suspend_one("e", 2_000_000, 0)
        self.assertEqual(self.make_room(), ["e"])

    def test_asked_for(self) -> None:
        """One that a client has just asked for can be gone on with, whatever they take."""
        self.suspend_some(1_500_000)
        self.crowd()
        self.tier.space.wanted_bytes = 1 << 30
        self.assertEqual(self.size("b"), 1_499_999)
        self.assertEqual(self.make_room(), ["b"])

    def test_gone_on_with_meanwhile(self) -> None:
        """One that a client has gone on with, or ended, while they were listed is left alone, and counted as it is."""
        listed = self.tier.files.arriving

        def arriving() -> list[tuple[str, os.stat_result]]:
            found = listed()
            upload, data = self.begin(1_000_000, "a")
            self.successResultOf(upload.write(data[300_000:900_000]))
            self.successResultOf(upload.suspend())
            upload, data = self.begin(1_000_000, "b")
            self.successResultOf(upload.write(data[300_000:]))
            self.successResultOf(upload.commit())
            return found

        for name in "ab":
            self.suspended(1_000_000, 300_000, name)
        for path in self.partials():
            os.utime(path, (0, self.clock.seconds() - 900))
        self.patch(self.tier.files, "arriving", arriving)
        self.tier.space.wanted_bytes = 1 << 30
        self.make_room()
        self.assertEqual(self.size("a"), 900_000)
        self.assertEqual(self.tier.space.partial_bytes, disk_bytes(900_000))
        self.assertEqual(self.tier.uploads.abandoned, 0)

    def test_active_ones(self) -> None:
        """What somebody goes on with stays."""
        self.suspend_some(1_000_000)
        upload, data = self.begin(1_000_000, "a")
        self.crowd()
        self.tier.space.wanted_bytes = 1 << 30
        self.assertEqual(self.make_room(), ["a", "d"])
        self.successResultOf(upload.write(data[-1:]))
        self.successResultOf(upload.commit())


class CountTests(UploadsTestCase):
    def test_told_is_on_disk(self) -> None:
        """A count that a client was told is not lost in a crash: the bytes are in the file."""
        upload, data = self.begin(1_500_000)
        self.successResultOf(upload.write(data[:100_000]))
        self.assertEqual(self.size(), 100_000)
        files = list(Path(self.tier.folder.uploads).iterdir())
        self.assertEqual([file.read_bytes() for file in files], [data[:100_000]])

    def test_told_where_nothing_can_be_written(self) -> None:
        """That it was asked for cannot be noted on every disk; what is held is told all the same."""
        self.suspended(1_000_000, 600_000)
        self.patch(os, "utime", failing(errno.EROFS))
        self.assertEqual(self.size(), 600_000)


class DamagedBlobTests(UploadsTestCase):
    """What is sent of a blob is kept where the blob that is here is no good."""

    def damage(self, digest: Digest) -> Iterator[str]:
        """Damage the blob in each way; how."""
        path = self.path(digest)
        whole = path.read_bytes()
        path.unlink()
        yield "removed"
        for name, data in (("truncated", whole[:1000]), ("flipped", b"x" + whole[1:])):
            path.write_bytes(data)
            yield name

    def assert_kept(self, digest: Digest, data: bytes, how: str) -> None:
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data, how)
        self.assertEqual(self.left_behind(), [], how)
        self.assertEqual(self.tier.index.tallies[1], Tally(1, disk_bytes(len(data))), how)

    def test_uploaded_again(self) -> None:
        """A client that uploads a blob whose file was damaged since is not told that it is here already."""
        digest, data = self.put(300_000)
        self.assertTrue(self.successResultOf(self.tier.uploads.is_needless(digest)))
        for how in self.damage(digest):
            self.assertFalse(self.successResultOf(self.tier.uploads.is_needless(digest)), how)
            upload, _ = self.begin(300_000)
            self.successResultOf(upload.write(data))
            self.successResultOf(upload.commit())
            self.assert_kept(digest, data, how)

    def test_put_again(self) -> None:
        """A blob that is put, and one that arrives, take the place of the file too."""
        digest, data = self.put(300_000)
        for how in self.damage(digest):
            self.put(300_000)
            self.assert_kept(digest, data, how)
        for how in self.damage(digest):
            arrival = self.tier.arrivals.open(digest)
            self.successResultOf(arrival.append(data))
            self.successResultOf(arrival.finish())
            arrival.complete()
            self.assert_kept(digest, data, how)

    def test_stable_storage(self) -> None:
        """What takes the place of a file that may be on stable storage is there before; what is new need not be."""
        events: list[str] = []
        fsync, rename = os.fsync, os.rename

        def noted_fsync(fd: int) -> None:
            events.append("fsync")
            fsync(fd)

        def noted_rename(source: str, target: str) -> None:
            events.append("rename")
            rename(source, target)

        self.patch(os, "fsync", noted_fsync)
        self.patch(os, "rename", noted_rename)
        digest, data = self.put(300_000)
        self.assertNotIn("fsync", events)
        for _ in range(2):
            self.path(digest).chmod(0o600)
            events.clear()
            upload, _ = self.begin(300_000)
            self.successResultOf(upload.write(data))
            self.successResultOf(upload.commit())
            self.assertEqual(events, ["fsync", "rename"])
        self.path(digest).chmod(0o600)
        events.clear()
        self.put(300_000)
        self.assertEqual(events, ["fsync", "rename"])
        with self.tier.index.write() as txn:
            txn.drop_blob(digest.key)
        self.tier.inventory.doubt = Doubt(0, 0, verify=True)
        events.clear()
        self.put(300_000)
        self.assertEqual(events, ["fsync", "rename"])

    def test_in_the_index(self) -> None:
        """So do small blobs, whose bytes in the index are something else."""
        digest, data = self.put(300)
        record, _ = self.tier.index.blob(digest.key) or self.fail()
        for wrong in (b"", b"x" * 300):
            with self.tier.index.write() as txn:
                txn.put_blob(digest.key, record, wrong)
            self.assertFalse(self.successResultOf(self.tier.uploads.is_needless(digest)))
            upload, _ = self.begin(300)
            self.successResultOf(upload.write(data))
            self.successResultOf(upload.commit())
            self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)


class RoomTests(UploadsTestCase):
    def test_folder_that_does_not_answer(self) -> None:
        """No room is held for an upload that cannot be begun."""
        patch = self.patch(os, "stat", failing(errno.EIO))
        self.failureResultOf(self.tier.uploads.open("name", blob(2_000_000)[0]), Unavailable)
        patch.restore()
        self.assertEqual(self.tier.space.reserved_bytes, 0)

    def test_no_room_to_begin(self) -> None:
        """An upload that cannot fit is refused at once, and nothing is held of it."""
        self.reopen(limit_bytes=1_000_000)
        self.failureResultOf(self.tier.uploads.open("name", blob(2_000_000)[0]), ResourceExhausted)
        self.assertEqual(self.size(), 0)
        self.assertEqual(self.tier.space.reserved_bytes, 0)

    def test_cannot_be_deleted(self) -> None:
        """What the disk does not let be deleted counts until it is deleted after all, and no longer."""
        upload, data = self.begin(1_000_000)
        self.successResultOf(upload.write(data[:600_000]))
        patch = self.patch(os, "unlink", failing(errno.EIO))
        self.successResultOf(upload.abandon())
        patch.restore()
        self.assertEqual(self.tier.space.partial_bytes, disk_bytes(600_000))
        self.clock.advance(time.time() - self.clock.seconds() + ABANDONED_SECONDS + 10)
        self.successResultOf(self.tier.uploads.drop_abandoned())
        self.assertEqual(self.partials(), [])
        self.assertEqual(self.tier.space.partial_bytes, 0)

    def test_room_for_the_rest(self) -> None:
        """One that takes more than half of the limit can be gone on with: what is held of it is not counted twice."""
        self.reopen(limit_bytes=2_500_000)
        data = self.suspended(1_500_000, 1_400_000)
        upload, _ = self.begin(1_500_000)
        self.successResultOf(upload.write(data[1_400_000:]))
        self.successResultOf(upload.commit())

    def test_no_room_for_the_rest(self) -> None:
        """What is held stays, and counted, where there is no room to go on."""
        self.reopen(limit_bytes=2_500_000)
        self.suspended(1_500_000, 1_400_000)
        with self.tier.space.reserve(1_050_000):
            opening = self.tier.uploads.open("name", blob(1_500_000)[0])
            self.failureResultOf(opening, ResourceExhausted)
        self.assertEqual(self.tier.space.partial_bytes, disk_bytes(1_400_000))

    def test_disk_full_while_writing(self) -> None:
        """What was taken in stays, and can be gone on with when there is room again."""
        upload, data = self.begin(1_500_000)
        self.successResultOf(upload.write(data[:WRITE_CHUNK]))
        self.patch(os, "pwrite", no_space)
        self.failureResultOf(upload.write(data[WRITE_CHUNK : 2 * WRITE_CHUNK]), ResourceExhausted)
        self.assertEqual(upload.committed_size, 2 * WRITE_CHUNK)
        self.assertEqual(self.size(), WRITE_CHUNK)
        self.successResultOf(upload.suspend())
        self.assertEqual(self.size(), WRITE_CHUNK)

    def test_disk_full_at_the_end(self) -> None:
        """A commit that fails for room leaves the upload as it was suspended."""
        upload, data = self.begin(1_500_000)
        self.successResultOf(upload.write(data))
        self.patch(os, "rename", no_space)
        self.failureResultOf(upload.commit(), ResourceExhausted)
        self.assertEqual(self.size(), 1_500_000)
        self.assertEqual(self.tier.space.reserved_bytes, 0)


class CancellationTests(UploadsTestCase):
    """A client that goes away in the middle of anything leaves nothing open."""

    def setUp(self) -> None:
        super().setUp()
        self.threads = HeldDiskThreads()
        self.reopen(threads=self.threads)
        self.before = open_files()

    def start(self, coroutine: object) -> Deferred[object]:
        return Deferred.fromCoroutine(coroutine)  # type: ignore[arg-type]  # of any interface

    def cancel(self, work: Deferred[object]) -> None:
        """Cancel it, and let the threads do what they had begun."""
        work.cancel()
        self.assertNoResult(work)
        self.threads.release()
        self.failureResultOf(work, CancelledError)

    def settle(self) -> None:
        """Suspend what is active, and see that nothing is left of it."""
        work = self.start(self.tier.uploads.close())
        self.threads.release()
        self.successResultOf(work)
        self.assertEqual(open_files(), self.before)
        self.assertEqual(self.tier.space.reserved_bytes, 0)

    def test_while_writing(self) -> None:
        """A write that was cancelled is held all the same, once its thread has ended."""
        upload, data = self.begin(1_500_000)
        self.cancel(self.start(upload.write(data[:WRITE_CHUNK])))
        work = self.start(upload.suspend())
        self.threads.release()
        self.successResultOf(work)
        self.settle()
        self.assertEqual(self.size(), WRITE_CHUNK)

    def test_while_committing(self) -> None:
        """A commit that was cancelled leaves the upload as it was suspended."""
        upload, data = self.begin(300_000)
        self.successResultOf(upload.write(data))
        self.cancel(self.start(upload.commit()))
        self.settle()
        self.assertEqual(self.size(), 300_000)

    def test_while_suspending(self) -> None:
        """A suspension that was cancelled has happened."""
        upload, data = self.begin(300_000)
        self.successResultOf(upload.write(data[:100]))
        self.cancel(self.start(upload.suspend()))
        self.settle()
        self.assertEqual(self.size(), 100)

    def test_while_resuming(self) -> None:
        """An upload whose opening was cancelled can be opened again."""
        upload, data = self.begin(300_000)
        self.successResultOf(upload.write(data[:100]))
        work = self.start(upload.suspend())
        self.threads.release()
        self.successResultOf(work)
        self.cancel(self.start(self.tier.uploads.open("name", blob(300_000)[0])))
        self.settle()
        self.assertEqual(self.size(), 100)

    def test_while_taking_over(self) -> None:
        """Who gives up waiting for the upload leaves it to who has it."""
        upload, data = self.begin(1_500_000)
        writing = self.start(upload.write(data[:WRITE_CHUNK]))
        opening = self.start(self.tier.uploads.open("name", blob(1_500_000)[0]))
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.threads.release()
        self.successResultOf(writing)
        self.successResultOf(upload.write(b""))
        self.settle()

    def test_takeover_waits(self) -> None:
        """The bytes of a write under way belong to who takes over."""
        upload, data = self.begin(1_500_000)
        writing = self.start(upload.write(data[:WRITE_CHUNK]))
        opening = self.start(self.tier.uploads.open("name", blob(1_500_000)[0]))
        asking = self.start(self.tier.uploads.committed_size("name"))
        self.assertNoResult(opening)
        self.threads.release()
        self.successResultOf(writing)
        second = self.successResultOf(opening)
        assert isinstance(second, type(upload))
        self.assertEqual(second.committed_size, WRITE_CHUNK)
        self.assertEqual(self.successResultOf(asking), WRITE_CHUNK)
        self.settle()


def no_space(*_: object) -> int:
    """What the system says on a full disk."""
    raise OSError(28, os.strerror(28))
