"""Damage that the index shows while it is in use is known to the next start."""

from __future__ import annotations

import faulthandler
from functools import partial
from pathlib import Path
from random import Random
from typing import NoReturn

import lmdb
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Unavailable
from gorego_tw.storage import environment
from gorego_tw.storage.environment import Environment, trouble
from gorego_tw.storage.folder import Folder
from gorego_tw.storage.index_damage import CrashNote, IndexDamage, crashed, met_in_use

#: What faulthandler writes, with the innermost frame in that file.
CRASH = """Fatal Python error: Aborted

Current thread 0x00007f0 (most recent call first):
  File "{file}", line 76 in blobs
  File "/elsewhere/gorego_tw/reapi/cas.py", line 1 in find_missing
"""


class IndexDamageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Folder(Path(self.mktemp()))
        self.addCleanup(self.folder.close)
        self.environment = Environment(self.folder.index, 1 << 30)
        self.addCleanup(self.environment.close)
        self.met: list[str] = []
        self.environment.damage.met = self.met.append

    def test_damage(self) -> None:
        """What LMDB says of damaged pages is told once, and noted."""
        for _ in range(3):
            trouble = self.environment.trouble(lmdb.CorruptedError("page 7"))
            self.assertIsInstance(trouble, Unavailable)
        self.assertEqual(len(self.met), 1)
        self.assertIn("page 7", self.met[0])
        self.assertIn("page 7", met_in_use(self.folder))

    def test_every_kind_of_it(self) -> None:
        """A page that is not there, and a database that is none, are damage too."""
        for kind in (lmdb.PageNotFoundError, lmdb.IncompatibleError):
            damage = IndexDamage(self.folder.index, lambda: True)
            damage.met = self.met.append
            damage.look_at(kind("this"))
        self.assertEqual(len(self.met), 2)

    def test_perhaps(self) -> None:
        """What LMDB says where its first pages are not its own, and seldom otherwise, is damage if nothing can
        be read any more.
        """
        for kind in (lmdb.BadTxnError, lmdb.MapResizedError):
            for is_readable, count in ((True, 0), (False, 1)):
                damage = IndexDamage(self.folder.index, partial(bool, is_readable))
                damage.met = self.met.append
                damage.look_at(kind("this"))
                self.assertEqual(len(self.met), count)
            self.met.clear()

    def test_first_pages(self) -> None:
        """Whatever is written over the first pages, or all others, of an index in use, that is found by a look."""
        file = self.environment.file
        size = file.stat().st_size
        noise = Random(1).randbytes(size)
        self.environment.probe()
        self.assertEqual(self.met, [])
        for start, data in ((0, noise), (0, noise[:8192]), (0, bytes(8192)), (8192, noise[8192:])):
            place = Path(self.mktemp())
            place.mkdir()
            environment = Environment(place, 1 << 30)
            self.addCleanup(environment.close)
            environment.damage.met = self.met.append
            with environment.file.open("r+b") as opened:
                opened.seek(start)
                opened.write(data)
            self.assertRaises(Unavailable, environment.probe)
            self.assertEqual(len(self.met), 1)
            self.met.clear()

    def test_passing_trouble_at_the_start(self) -> None:
        """An index that cannot be read for a moment when it is opened is not taken for damaged."""

        def fail(_: Environment) -> NoReturn:
            error = lmdb.DiskError("Input/output error")
            raise trouble(error) from error

        self.patch(Environment, "tallies", fail)
        place = Path(self.mktemp())
        place.mkdir()
        self.assertRaises(Unavailable, Environment, place, 1 << 30)

    def test_removed(self) -> None:
        """A file that was removed is found by whoever asks how much it takes."""
        self.environment.file.unlink()
        self.assertRaises(Unavailable, lambda: self.environment.file_bytes)
        self.assertIn(f"{self.environment.file} was removed, or the folder moved", self.met[0])

    def test_given_up(self) -> None:
        """That LMDB does nothing any more is told, and is no damage of the file."""
        self.environment.trouble(lmdb.PanicError("a meta page"))
        self.assertEqual(len(self.met), 1)
        self.assertEqual(met_in_use(self.folder), "")

    def test_what_passes(self) -> None:
        """A full index, or a disk without room, is neither told nor noted."""
        for error in (lmdb.MapFullError("full"), lmdb.DiskError("No space left on device")):
            self.environment.trouble(error)
        self.assertEqual((self.met, met_in_use(self.folder)), ([], ""))

    def test_nothing_can_be_noted(self) -> None:
        """It is told all the same."""
        (self.folder.index / "damage.new").mkdir()
        self.environment.trouble(lmdb.CorruptedError("page 7"))
        self.assertEqual(len(self.met), 1)


class CrashNoteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Folder(Path(self.mktemp()))
        self.addCleanup(self.folder.close)

    def test_running(self) -> None:
        """Crashes are noted while it runs, and a good end leaves nothing."""
        note = CrashNote(self.folder)
        note.begin()
        note.startService()
        self.addCleanup(faulthandler.disable)
        self.assertTrue(faulthandler.is_enabled())
        self.assertFalse(crashed(self.folder))
        note.stopService()
        self.assertFalse(faulthandler.is_enabled())
        self.assertFalse((self.folder.path / "crash").exists())

    def test_in_the_index(self) -> None:
        """A crash counts where the innermost frame is one of those that call LMDB."""
        (self.folder.path / "crash").write_text(CRASH.format(file=environment.__file__))
        self.assertTrue(crashed(self.folder))
        (self.folder.path / "crash").write_text(CRASH.format(file="/elsewhere/grpc/aio.py"))
        self.assertFalse(crashed(self.folder))
