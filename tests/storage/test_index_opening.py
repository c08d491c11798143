"""The index after accidents: closed, killed, damaged, gone, somebody else's."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import lmdb
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from gorego_tw.digest import Digest
from gorego_tw.errors import NotFound
from gorego_tw.storage import index_opening
from gorego_tw.storage.checkpoint_record import CheckpointRecord
from gorego_tw.storage.disk_threads import HeldDiskThreads, NoDiskThreads
from gorego_tw.storage.doubt import FOLDERS, Doubt
from gorego_tw.storage.folder import FolderError
from gorego_tw.storage.index_check import IndexCheck
from gorego_tw.storage.index_opening import LONG_LOOK_SECONDS, SUSPICIOUS_STARTS, Ending
from gorego_tw.storage.index_place import note_place
from gorego_tw.storage.lmdb_pages import newest_meta
from gorego_tw.storage.reconciliation import NOTE_SECONDS
from gorego_tw.storage.set_aside import MOST_SET_ASIDE
from gorego_tw.storage.tier import LocalTier
from tests.storage.test_local import failing
from tests.storage.tiers import LIMIT_BYTES, TierTestCase, blob, put, read

PAGE = 4096


class OpeningTestCase(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        sizes = (100, 4000, 5000, 20_000, 300_000)
        self.blobs = dict(self.put(size, seed) for seed in range(4) for size in sizes)
        context = capturedLogs()
        self.events = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    @property
    def data(self) -> Path:
        return self.folder / "index" / "data.mdb"

    def change(self, change: Callable[[bytes], bytes]) -> None:
        """Close the tier, change its index, open it."""
        self.close_tier(self.tier)
        self.data.write_bytes(change(self.data.read_bytes()))
        self.open_tier()

    def compare(self) -> None:
        """Compare index and files to the end."""
        self.tier.reconciliation.startService()
        self.clock.pump([1.0, *[0.0] * (2 * len(FOLDERS))])
        self.successResultOf(self.tier.reconciliation.stopService())
        self.assertIsNone(self.tier.inventory.doubt)

    def served(self) -> set[Digest]:
        """The blobs that are served, after a look that none is wrong."""
        served = set()
        for digest, data in self.blobs.items():
            reading = Deferred.fromCoroutine(read(self.tier.blobs, digest))
            if reading.result == data:
                served.add(digest)
            else:
                self.failureResultOf(reading, NotFound)
        return served

    @property
    def files(self) -> set[Digest]:
        """The blobs that are files."""
        return {digest for digest in self.blobs if digest.size_bytes > 4080}

    def killed(self) -> Path:
        """The folder of a process that is gone."""
        copy = Path(self.mktemp())
        shutil.copytree(self.folder, copy)
        note_place(copy / "index")
        return copy

    def set_aside(self) -> list[Path]:
        """The indexes that were."""
        return sorted(self.folder.glob("index.damaged-*"))


class EndingTests(OpeningTestCase):
    def test_new(self) -> None:
        """A folder that did not exist."""
        self.close_tier(self.tier)
        self.folder = Path(self.mktemp())
        self.assertIs(self.open_tier().ending, Ending.NEW)

    def test_closed(self) -> None:
        """An index that was closed is taken as it is, in whatever boot."""
        self.assertIs(self.reopen().ending, Ending.CLOSED)
        self.close_tier(self.tier)
        tier = LocalTier.open(
            self.folder,
            limit_bytes=LIMIT_BYTES,
            free_reserve_bytes=0,
            clock=self.clock,
            threads=NoDiskThreads(),
            boot="the next one",
        )
        self.assertIs(tier.ending, Ending.CLOSED)
        self.assertIsNone(tier.inventory.doubt)
        self.successResultOf(tier.close())

    def test_killed(self) -> None:
        """An index whose process was killed has all that was written, though no checkpoint has it."""
        killed = self.killed()
        self.close_tier(self.tier)
        self.folder = killed
        self.assertIs(self.open_tier().ending, Ending.KILLED)
        self.assertIsNone(self.tier.inventory.doubt)
        self.assertEqual(self.served(), set(self.blobs))

    def test_copied(self) -> None:
        """An index of an earlier time that was brought back learns of the files that came since, and of those that went."""
        self.close_tier(self.tier)
        earlier = Path(self.mktemp())
        shutil.copytree(self.folder / "index", earlier)
        self.open_tier()
        later, data = self.put(5000, 99)
        self.blobs[later] = data
        gone = next(digest for digest in self.files if digest != later)
        self.tier.inventory.evict([gone.key])
        self.close_tier(self.tier)
        shutil.rmtree(self.folder / "index")
        shutil.copytree(earlier, self.folder / "index")
        self.assertIs(self.open_tier().ending, Ending.CLOSED)
        asked = Deferred.fromCoroutine(self.tier.blobs.find_missing([gone]))
        self.assertEqual(self.successResultOf(asked), [gone])
        self.compare()
        self.assertEqual(self.served(), set(self.blobs) - {gone})
        self.assertIsNone(self.reopen().inventory.doubt)

    def test_copied_into_the_same_file(self) -> None:
        """So does one that was written into the file of the other."""
        self.close_tier(self.tier)
        earlier, file = Path(self.mktemp()), self.folder / "index" / "data.mdb"
        shutil.copytree(self.folder / "index", earlier)
        ended = file.stat()
        self.open_tier()
        gone = next(iter(self.files))
        self.tier.inventory.evict([gone.key])
        self.close_tier(self.tier)
        while file.stat().st_ctime_ns == ended.st_ctime_ns:  # clocks of file systems are coarse
            file.touch()
        shutil.copytree(earlier, self.folder / "index", dirs_exist_ok=True)
        self.assertEqual(file.stat().st_ino, ended.st_ino)
        self.open_tier()
        asked = Deferred.fromCoroutine(self.tier.blobs.find_missing([gone]))
        self.assertEqual(self.successResultOf(asked), [gone])

    def test_copied_while_it_was_compared(self) -> None:
        """What was to be found out of it before is to be found out still."""
        Doubt(1, 2, verify=True, position=3).write(self.tier.environment)
        self.close_tier(self.tier)
        copy = Path(self.mktemp())
        shutil.copytree(self.folder, copy)
        self.folder = copy
        self.assertEqual(self.open_tier().inventory.doubt, Doubt(1, 2, verify=True))

    def test_unknown_boot(self) -> None:
        """Where the system does not tell boots apart a kill is taken for a power cut, which is safe."""
        self.reopen()
        record = CheckpointRecord.read(self.folder / "index")
        assert record is not None
        killed = self.killed()
        record._replace(boot_id="").write(killed / "index")
        tier = LocalTier.open(
            killed,
            limit_bytes=1 << 30,
            free_reserve_bytes=0,
            clock=self.clock,
            threads=NoDiskThreads(),
            boot="",
        )
        self.assertIs(tier.ending, Ending.POWER_CUT)
        self.successResultOf(Deferred.fromCoroutine(tier.close()))

    def test_no_record(self) -> None:
        """An index without a record of a checkpoint is taken, and the files are compared with it."""
        self.close_tier(self.tier)
        (self.folder / "index" / "checkpoint").unlink()
        self.assertIs(self.open_tier().ending, Ending.KILLED)
        self.assertEqual(self.served(), set(self.blobs))
        self.compare()
        self.assertEqual(self.served(), set(self.blobs))

    def test_record_that_is_none(self) -> None:
        """So is one whose record is damaged."""
        self.close_tier(self.tier)
        (self.folder / "index" / "checkpoint").write_bytes(b"\xff{}")
        self.open_tier()
        self.assertEqual(self.served(), set(self.blobs))

    def test_killed_again_and_again(self) -> None:
        """Where each process is killed soon, few of them begin with a long look."""
        looks: list[float] = []

        class Look(IndexCheck):
            def __init__(self, file: Path, seconds: float, head: bytes | None = None) -> None:
                looks.append(seconds)
                super().__init__(file, seconds, head=head)

        self.patch(index_opening, "IndexCheck", Look)
        for _ in range(13):
            killed = self.killed()
            self.close_tier(self.tier)
            self.folder = killed
            self.open_tier()
        long = [number for number, seconds in enumerate(looks) if seconds == LONG_LOOK_SECONDS]
        self.assertEqual(long, [3, 6, 12])

    def test_starts_in_a_row(self) -> None:
        """Starts that came to no good end are counted, until one does."""
        for starts in range(1, SUSPICIOUS_STARTS + 2):
            killed = self.killed()
            self.close_tier(self.tier)
            self.folder = killed
            self.open_tier()
            record = CheckpointRecord.read(killed / "index")
            assert record is not None
            self.assertEqual(record.starts, starts)
        self.reopen()
        record = CheckpointRecord.read(self.folder / "index")
        assert record is not None
        self.assertEqual(record.starts, 0)


class DamageTests(OpeningTestCase):
    """Whatever is in the place of the index, blobs that are files are served again."""

    def assert_made_anew(self) -> None:
        """The damaged index is kept, the new one gets to know all files, and takes what is missing."""
        self.assertIs(self.tier.ending, Ending.LOST)
        self.compare()
        self.assertEqual(self.served(), self.files)
        self.assertEqual(self.tier.reconciliation.adopted, len(self.files))
        for digest, data in self.blobs.items():
            self.successResultOf(put(self.tier.blobs, digest, data))
        self.assertEqual(self.served(), set(self.blobs))
        tallies = dict(self.tier.index.tallies)
        self.reopen()
        self.assertIs(self.tier.ending, Ending.CLOSED)
        self.assertEqual(self.served(), set(self.blobs))
        self.assertEqual(self.tier.index.tallies, tallies)

    def test_garbage(self) -> None:
        """Something else in its place."""
        self.change(lambda _: b"something else" * 1000)
        self.assertEqual(len(self.set_aside()), 1)
        self.assertEqual((self.set_aside()[0] / "data.mdb").read_bytes(), b"something else" * 1000)
        self.assertTrue([event for event in self.events if "kept" in event])
        self.assert_made_anew()

    def test_truncated(self) -> None:
        """The end of it is gone, which would end the process with SIGBUS."""
        self.change(lambda data: data[: len(data) // 2])
        self.assert_made_anew()

    def test_empty(self) -> None:
        """A file with nothing in it."""
        self.change(lambda _: b"")
        self.assert_made_anew()

    def test_removed(self) -> None:
        """No file at all; no folder at all."""
        self.close_tier(self.tier)
        self.data.unlink()
        self.open_tier()
        self.assertEqual(self.set_aside(), [])
        self.assert_made_anew()
        self.close_tier(self.tier)
        shutil.rmtree(self.folder / "index")
        self.open_tier()
        self.assert_made_anew()

    def test_page_in_the_middle(self) -> None:
        """A page of the trees that is something else."""

        def overwrite(data: bytes) -> bytes:
            meta, _ = newest_meta(data)
            return data[: meta.root * PAGE] + b"?" * PAGE + data[(meta.root + 1) * PAGE :]

        self.change(overwrite)
        self.assert_made_anew()

    def fail_to_read(self, *pages: int) -> None:
        """Let the disk have bad sectors in the index."""
        pread = os.pread

        def broken(fd: int, size: int, offset: int) -> bytes:
            name = Path(f"/proc/self/fd/{fd}").readlink().name
            touched = range(offset // PAGE, (offset + size - 1) // PAGE + 1)
            if name == "data.mdb" and any(page in touched for page in pages):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return pread(fd, size, offset)

        self.patch(os, "pread", broken)

    def test_page_that_cannot_be_read(self) -> None:
        """A page of the trees that the disk cannot read, which would end the process with SIGBUS."""
        self.close_tier(self.tier)
        meta, _ = newest_meta(self.data.read_bytes())
        self.fail_to_read(meta.root)
        self.open_tier()
        self.assertEqual(len(self.set_aside()), 1)
        self.assert_made_anew()

    def test_first_pages_that_cannot_be_read(self) -> None:
        """The same with those that say where everything is: the checkpoint says so, too."""
        self.close_tier(self.tier)
        self.fail_to_read(0, 1)
        self.open_tier()
        self.assertIs(self.tier.ending, Ending.POWER_CUT)
        self.assertEqual(self.served(), set(self.blobs))

    def test_disk_that_says_something_else(self) -> None:
        """Trouble that says nothing of the file stops the start, and the index stays where it is."""
        self.close_tier(self.tier)
        patch = self.patch(os, "pread", failing(errno.ENOMEM))
        self.assertRaises(FolderError, self.open_tier)
        patch.restore()
        self.assertEqual(self.set_aside(), [])
        self.open_tier()
        self.assertEqual(self.served(), set(self.blobs))

    def test_system_that_does_not_open_it(self) -> None:
        """So does an error of the system that LMDB has no name for: of a file that is immutable, or too many that are open."""
        self.close_tier(self.tier)
        for code in (errno.EPERM, errno.EMFILE, errno.EROFS):

            def refuse(path: str, code: int = code, **_: object) -> None:
                raise lmdb.Error(f"{path}: {os.strerror(code)}")

            patch = self.patch(lmdb, "open", refuse)
            refused = self.assertRaises(FolderError, self.open_tier)
            patch.restore()
            self.assertIn(os.strerror(code), str(refused))
        self.assertEqual(self.set_aside(), [])
        self.open_tier()
        self.assertEqual(self.served(), set(self.blobs))

    def test_met_in_use(self) -> None:
        """Damage that LMDB has met is not looked for: the next start makes the index anew."""
        self.tier.environment.trouble(lmdb.CorruptedError("page 7"))
        self.reopen()
        self.assertEqual(len(self.set_aside()), 1)
        self.assert_made_anew()
        self.reopen()
        self.assertEqual(len(self.set_aside()), 1)

    def test_met_in_another_index(self) -> None:
        """What was met in an index that somebody has deleted says nothing of the next one."""
        self.tier.environment.trouble(lmdb.CorruptedError("page 7"))
        self.close_tier(self.tier)
        self.data.unlink()
        self.open_tier()
        self.assertIs(self.tier.ending, Ending.LOST)
        self.reopen()
        self.assertIs(self.tier.ending, Ending.CLOSED)
        self.assertEqual(self.set_aside(), [])

    def crash(self) -> None:
        """Close the tier, and note that its process has crashed in LMDB."""
        self.close_tier(self.tier)
        file = Path(index_opening.__file__).with_name("index.py")
        (self.folder / "crash").write_text(f'Fatal:\n\nThread:\n  File "{file}", line 7 in get\n')

    def test_crashed(self) -> None:
        """After a crash in LMDB all of the index is looked at, however long that takes."""
        self.crash()
        self.patch(index_opening, "LOOK_SECONDS", 0.0)
        data = bytearray(self.data.read_bytes())
        root = newest_meta(bytes(data))[0].root * PAGE
        data[root : root + PAGE] = b"?" * PAGE
        self.data.write_bytes(data)
        IndexCheck(self.data, 0.0)  # sees nothing of it
        self.open_tier()
        self.assertEqual(len(self.set_aside()), 1)
        self.assert_made_anew()

    def test_crash_without_damage(self) -> None:
        """An index in which all pages are right is kept, unless process after process crashes in it."""
        for _ in range(SUSPICIOUS_STARTS):
            killed = self.killed()
            self.crash()
            self.folder = killed
            self.open_tier()
            self.assertEqual(self.served(), set(self.blobs))
        self.crash()
        self.assertEqual(self.set_aside(), [])

    def test_killed_before_anything_is_known(self) -> None:
        """Killed as soon as there is a new index, the next process knows that files are missing in it."""
        self.close_tier(self.tier)
        self.data.write_bytes(b"")
        written = self.patch(Doubt, "write", failing(errno.EIO))
        self.assertRaises(FolderError, self.open_tier)
        written.restore()
        self.open_tier()
        self.compare()
        self.assertEqual(self.served(), self.files)

    def test_of_another_program(self) -> None:
        """An LMDB file that has other databases is left as it was."""
        self.close_tier(self.tier)
        shutil.rmtree(self.folder / "index")
        with (
            lmdb.open(str(self.folder / "index"), max_dbs=1) as other,
            other.begin(write=True) as txn,
        ):
            txn.put(b"theirs", b"value")
        theirs = self.data.read_bytes()
        self.open_tier()
        self.assertEqual((self.set_aside()[0] / "data.mdb").read_bytes(), theirs)
        self.assert_made_anew()

    def test_meta_pages(self) -> None:
        """Without its first two pages the index goes back to the checkpoint, and has everything."""
        self.change(lambda data: bytes(2 * PAGE) + data[2 * PAGE :])
        self.assertIs(self.tier.ending, Ending.POWER_CUT)
        self.assertEqual(self.set_aside(), [])
        self.compare()
        self.assertEqual(self.served(), set(self.blobs))

    def test_few_are_kept(self) -> None:
        """Of many damaged indexes the latest are kept."""
        for number in range(MOST_SET_ASIDE + 3):
            self.change(lambda _, number=number: b"garbage %d" % number)  # type: ignore[misc]
        kept = {(path / "data.mdb").read_bytes() for path in self.set_aside()}
        self.assertEqual(kept, {b"garbage 3", b"garbage 4"})

    def test_while_it_is_made_anew(self) -> None:
        """Until its folder was compared a file is absent; when it is put again nothing is twice."""
        self.change(lambda _: b"")
        self.assertEqual(self.served(), set())
        digest, data = blob(5000)
        self.successResultOf(put(self.tier.blobs, digest, data))
        self.assert_made_anew_without(digest)

    def assert_made_anew_without(self, digest: Digest) -> None:
        self.compare()
        self.assertEqual(self.served(), self.files)
        self.assertEqual(self.tier.reconciliation.adopted, len(self.files) - 1)
        self.assertEqual(self.tier.index.tallies[1].entries, len(self.files))

    def test_killed_while_it_is_made_anew(self) -> None:
        """The next process goes on with it."""
        self.change(lambda _: b"")
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        self.tier.reconciliation.startService()
        self.clock.advance(1)
        for _ in range(len(FOLDERS) // 2):
            threads.held.pop(0)()
            self.clock.advance(NOTE_SECONDS)
        before = self.tier.reconciliation.progress
        self.assertTrue(0 < before < 1)
        stopped = self.tier.reconciliation.stopService()
        self.close_tier(self.tier)
        self.successResultOf(stopped)
        self.open_tier()
        self.assertGreaterEqual(self.tier.reconciliation.progress, before)
        self.assertLess(self.tier.reconciliation.progress, 1)
        self.compare()
        self.assertEqual(self.served(), self.files)

    def test_wrong_files(self) -> None:
        """Files that are not what their names say are never served."""
        digest, data = blob(5000)
        self.path(digest).write_bytes(data[:-1] + b"?")
        short, _ = blob(20_000)
        self.path(short).write_bytes(b"")
        (self.path(digest).parent / "readme").write_bytes(b"somebody else's")
        self.change(lambda _: b"")
        self.compare()
        self.assertEqual(self.served(), self.files - {digest, short})
