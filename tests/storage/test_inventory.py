"""Index and files in step, whatever happens."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

from gorego_tw.body import BytesBody
from gorego_tw.digest import Digest
from gorego_tw.errors import NotFound, ResourceExhausted, Unavailable
from gorego_tw.storage.checkpoint_record import CheckpointRecord
from gorego_tw.storage.doubt import FOLDERS, Doubt
from gorego_tw.storage.index_opening import Ending
from gorego_tw.storage.index_write import IndexWrite
from gorego_tw.storage.records import INLINE_LIMIT
from tests.storage.crash import ACKNOWLEDGED, SIZES, STEPS
from tests.storage.test_local import failing
from tests.storage.tiers import TierTestCase, blob, put, read

ROOT = Path(__file__).parent.parent.parent


class RecoveryTests(TierTestCase):
    def orphans(self) -> list[str]:
        """Files of blobs that the index does not know."""
        return [
            path.name
            for path in (self.folder / "cas").rglob("*")
            if path.is_file() and self.tier.index.blob(b"\1" + bytes.fromhex(path.name)) is None
        ]

    def reopen_after(self, boot_id: str | None = None) -> None:
        """Open the folder again after a process that was killed, or in another boot."""
        self.close_tier(self.tier)
        record = CheckpointRecord.read(self.folder / "index")
        assert record is not None
        record = record._replace(clean=False, boot_id=boot_id or record.boot_id)
        record.write(self.folder / "index")
        self.open_tier()

    def place(self) -> Digest:
        """Note a blob's file, and move it into place."""
        digest, data = blob(5000)
        self.tier.files.placing.note(digest.key)
        path = self.path(digest)
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        return digest

    def test_moved_and_not_indexed(self) -> None:
        """A file that was moved into place and never indexed is removed."""
        self.place()
        self.reopen_after()
        self.assertIs(self.tier.ending, Ending.KILLED)
        self.assertEqual(self.orphans(), [])

    def test_damaged_record_of_the_last_file(self) -> None:
        """A record that cannot be read is no reason not to start; its file is left until it is asked for."""
        digest, _ = self.put(5000)
        environment = self.tier.environment
        with environment.begin(write=True) as txn:
            txn.put(digest.key, b"?", db=environment.blobs)
        self.reopen_after()
        self.assertTrue(self.path(digest).exists())
        self.failureResultOf(self.tier.blobs.get(digest), NotFound)

    def test_moved_before_a_power_cut(self) -> None:
        """After a power cut, which the index forgets entries by, such a file is left to be compared."""
        digest = self.place()
        self.reopen_after("another boot")
        self.assertIs(self.tier.ending, Ending.POWER_CUT)
        self.assertEqual(self.orphans(), [digest.hash])

    def test_noted_and_indexed(self) -> None:
        """A blob that is indexed is not removed because it was noted."""
        digest, data = self.put(5000)
        self.assertEqual(self.tier.files.placing.noted(), digest.key)
        self.reopen_after()
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_noted_and_evicted(self) -> None:
        """A blob that was noted and evicted leaves nothing, and others are not touched."""
        kept, data = self.put(6000)
        digest, _ = self.put(5000)
        self.tier.inventory.evict([digest.key])
        self.reopen_after()
        self.assertEqual(self.orphans(), [])
        self.assertEqual(self.successResultOf(read(self.tier.blobs, kept)), data)

    def test_in_the_trash_and_indexed(self) -> None:
        """A blob whose file is in the trash is absent after a restart, and nobody is told else."""
        digest, _ = self.put(5000)
        self.tier.files.discard(digest.key)
        patch = self.patch(self.tier.files, "empty_trash", lambda: None)
        self.reopen()
        patch.restore()
        self.assertEqual(self.successResultOf(self.tier.blobs.find_missing([digest])), [digest])
        self.assertEqual(self.tier.index.tallies[1], (0, 0))

    def test_in_the_trash_and_put_again(self) -> None:
        """A blob that was evicted and put again keeps its new file."""
        digest, data = self.put(5000)
        self.tier.inventory.evict([digest.key])
        self.put(5000)
        patch = self.patch(self.tier.files, "empty_trash", lambda: None)
        self.reopen()
        patch.restore()
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_unreadable_trash(self) -> None:
        """A trash that cannot be read is no reason not to start; what is in it is missed by a look at all files."""
        digest, _ = self.put(5000)
        self.tier.files.discard(digest.key)
        listdir = os.listdir

        def fail(path: str | Path) -> list[str]:
            if str(path).endswith("/trash"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return listdir(path)

        self.patch(os, "listdir", fail)
        self.reopen()
        self.assertEqual(self.successResultOf(self.tier.blobs.find_missing([digest])), [digest])

    def test_unindexed_file_that_cannot_be_moved(self) -> None:
        """Nor is a file that was never indexed, and can be neither moved away nor deleted."""
        digest = self.place()
        self.close_tier(self.tier)
        for call in ("rename", "unlink"):
            self.patch(os, call, failing(errno.EIO))
        self.reopen_after()
        self.assertIsNotNone(self.tier.inventory.doubt)
        self.assertTrue(self.path(digest).exists())

    def test_strange_files(self) -> None:
        """What somebody else has put into the trash is deleted."""
        (self.folder / "trash" / "readme").write_bytes(b"")
        (self.folder / "trash" / "folder" / "inside").mkdir(parents=True)
        self.reopen()
        self.successResultOf(self.tier.empty_trash())
        self.assertEqual(self.left_behind(), [])

    def test_index_fails_after_the_move(self) -> None:
        """A file whose indexing failed does not stay in its place."""
        digest, data = blob(5000)
        add = self.tier.index.write

        def fail(*_: object) -> None:
            raise Unavailable("index")

        def write() -> object:
            txn = add()
            self.patch(txn, "put_blob", fail)
            return txn

        patch = self.patch(self.tier.index, "write", write)
        self.failureResultOf(self.tier.blobs.put(digest, BytesBody(data)), Unavailable)
        patch.restore()
        self.assertEqual(self.orphans(), [])

    def test_no_room_in_index_and_trash(self) -> None:
        """A file whose indexing failed goes from a disk, too, that has no room for its name in the trash."""
        rename = os.rename

        def fail(old: str, new: str) -> None:
            if "/trash/" in new:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            rename(old, new)

        self.patch(os, "rename", fail)
        self.patch(IndexWrite, "_write_tallies", failing(errno.ENOSPC))
        for size_bytes in (5000, 2_000_000):
            digest, data = blob(size_bytes)
            self.failureResultOf(put(self.tier.blobs, digest, data), ResourceExhausted)
        self.assertEqual(self.orphans(), [])
        self.assertEqual(self.left_behind(), [])

    def test_index_fails_while_files_are_compared(self) -> None:
        """A file that took the place of one which was not compared yet stays there, to be found; another does not."""
        old, data = self.put(5000)
        new, more = blob(5000, seed=1)
        with self.tier.index.write() as txn:
            txn.drop_blob(old.key)
        doubt = self.tier.inventory.doubt = Doubt(0, 0, verify=True)
        self.patch(IndexWrite, "_write_tallies", failing(errno.ENOSPC))
        for digest, content in ((old, data), (new, more)):
            self.failureResultOf(put(self.tier.blobs, digest, content), ResourceExhausted)
        self.assertEqual(self.path(old).read_bytes(), data)
        self.assertFalse(self.path(new).exists())
        doubt.position = len(FOLDERS)
        self.failureResultOf(put(self.tier.blobs, old, data), ResourceExhausted)
        self.assertFalse(self.path(old).exists())

    def test_replaced_while_files_are_compared(self) -> None:
        """What takes the place of a file that was not compared yet is to be on stable storage before; else it is not."""
        digest, _ = self.put(5000)
        with self.tier.index.write() as txn:
            txn.drop_blob(digest.key)
        doubt = self.tier.inventory.doubt = Doubt(0, 0, verify=True)
        self.assertTrue(self.tier.inventory.is_replaced(digest))
        self.assertFalse(self.tier.inventory.is_replaced(blob(5000, seed=1)[0]))
        doubt.position = len(FOLDERS)
        self.assertFalse(self.tier.inventory.is_replaced(digest))

    def test_file_that_cannot_be_moved(self) -> None:
        """A file that cannot be moved away is not served any more."""
        digest, _ = self.put(5000)

        def fail(*_: object) -> None:
            raise PermissionError

        patch = self.patch(os, "rename", fail)
        self.tier.inventory.evict([digest.key])
        patch.restore()
        self.failureResultOf(self.tier.blobs.get(digest), NotFound)
        self.put(5000)
        self.assertEqual(self.orphans(), [])

    def test_no_room_in_the_trash(self) -> None:
        """A file for which the trash has no room is deleted at once, and is not waited for."""
        digest, _ = self.put(5000)
        patch = self.patch(os, "rename", failing(errno.ENOSPC))
        self.assertEqual(self.tier.inventory.evict([digest.key]), 8192)
        patch.restore()
        self.assertFalse(self.path(digest).exists())
        self.assertEqual(self.tier.space.doomed_bytes, 0)


class FailedEvictionTests(TierTestCase):
    """The disk is full when entries are to be taken out of the index."""

    def setUp(self) -> None:
        super().setUp()
        self.digest, self.data = self.put(5000)

        def fail(*_: object) -> None:
            raise ResourceExhausted("full")

        self.full = self.patch(IndexWrite, "_write_tallies", fail)

    def test_files_stay(self) -> None:
        """What stays in the index has its file again."""
        self.assertRaises(ResourceExhausted, self.tier.inventory.evict, [self.digest.key])
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(self.tier.space.doomed_bytes, 0)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)
        self.full.restore()
        self.assertEqual(self.tier.inventory.evict([self.digest.key]), 8192)

    def test_no_room_in_the_trash(self) -> None:
        """A file for which the trash has no room stays with its entry."""
        patch = self.patch(os, "rename", failing(errno.ENOSPC))
        self.assertRaises(ResourceExhausted, self.tier.inventory.evict, [self.digest.key])
        patch.restore()
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)

    def test_no_trash(self) -> None:
        """Where somebody has removed the trash it is made again, and the file goes."""
        self.full.restore()
        trash = self.tier.folder.trash
        trash.rmdir()
        self.tier.files.empty_trash()
        self.assertEqual(self.tier.inventory.evict([self.digest.key]), 8192)
        self.assertFalse(self.path(self.digest).exists())
        self.assertEqual(len(list(trash.iterdir())), 1)

    def test_trash_is_emptied_meanwhile(self) -> None:
        """A file whose entry may yet stay is not deleted with the trash."""
        hold = self.tier.files.hold

        def holding(key: bytes) -> str | None:
            name = hold(key)
            self.tier.files.empty_trash()
            return name

        self.patch(self.tier.files, "hold", holding)
        self.assertRaises(ResourceExhausted, self.tier.inventory.evict, [self.digest.key])
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)

    def test_damaged(self) -> None:
        """A damaged blob that cannot be dropped is not given out."""
        path = self.path(self.digest)
        path.write_bytes(bytes(5000))
        for _ in range(2):
            self.failureResultOf(self.tier.blobs.get(self.digest), NotFound)
        self.full.restore()
        self.failureResultOf(self.tier.blobs.get(self.digest), NotFound)
        self.assertIsNone(self.tier.inventory.find(self.digest))


class CrashTests(TierTestCase):
    """kill -9 between any two steps."""

    def test_every_step(self) -> None:
        """Whatever it was killed in, the next start finds all that was acknowledged."""
        self.close_tier(self.tier)
        command = [sys.executable, "-m", "tests.storage.crash", str(self.folder)]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
        folders = [folder for folder in self.folder.iterdir() if (folder / ACKNOWLEDGED).exists()]
        self.assertEqual(len(folders), len(STEPS) * 6)
        for folder in folders:
            self.folder = folder
            self.open_tier()
            self.check((folder / ACKNOWLEDGED).read_text().splitlines(), folder.name)
            self.close_tier(self.tier)

    def check(self, acknowledged: list[str], where: str) -> None:
        """Everything acknowledged is there, and nothing is out of step."""
        there = 0
        for size_bytes in SIZES:
            digest, data = blob(size_bytes)
            missing = self.successResultOf(self.tier.blobs.find_missing([digest]))
            about = [line for line in acknowledged if line.endswith(f" {size_bytes}")]
            # What was put last may have been on its way out again.
            if about and about[-1].startswith("put") and about[-1] != acknowledged[-1]:
                self.assertFalse(missing, where)
            if not missing:
                there += 1
                self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data, where)
            elif size_bytes > INLINE_LIMIT:
                self.assertFalse(self.path(digest).exists(), where)
        self.assertEqual(self.tier.inventory.damaged, 0, where)
        entries = sum(tally.entries for tally in self.tier.index.tallies.values())
        self.assertEqual(entries, there, where)
        self.successResultOf(self.tier.empty_trash())
        self.assertEqual(self.left_behind(), [], where)
