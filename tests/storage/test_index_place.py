"""Where the index's file is, as it was noted."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.index_place import note_place, was_elsewhere


class IndexPlaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        """An index that was noted."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        (self.folder / "data.mdb").write_bytes(b"pages")
        note_place(self.folder)

    def test_the_same(self) -> None:
        """It is where it was, whatever is written to it, also if the folder is moved."""
        (self.folder / "data.mdb").write_bytes(b"other pages")
        moved = self.folder.rename(f"{self.folder}-moved")
        self.assertFalse(was_elsewhere(moved))

    def test_copied(self) -> None:
        """A copy was elsewhere, until that is noted."""
        copy = Path(f"{self.folder}-copy")
        shutil.copytree(self.folder, copy)
        self.assertTrue(was_elsewhere(copy))
        note_place(copy)
        self.assertFalse(was_elsewhere(copy))

    def test_another(self) -> None:
        """So was another one that was put in its place."""
        other = self.folder / "other"
        other.write_bytes(b"pages")
        other.rename(self.folder / "data.mdb")
        self.assertTrue(was_elsewhere(self.folder))

    def test_in_the_place_of_a_deleted_one(self) -> None:
        """So was one that was made when the other had been deleted, though it has the same number on most disks."""
        (self.folder / "data.mdb").unlink()
        (self.folder / "data.mdb").write_bytes(b"pages")
        self.assertTrue(was_elsewhere(self.folder))

    def test_ended(self) -> None:
        """When nobody writes to it any more it is to be as it was: a copy may be written into its file."""
        file = self.folder / "data.mdb"
        note_place(self.folder, ended=True)
        self.assertFalse(was_elsewhere(self.folder))
        while not was_elsewhere(self.folder):  # clocks of file systems are coarse
            file.write_bytes(b"pages")
        note_place(self.folder)
        file.write_bytes(b"other pages")
        self.assertFalse(was_elsewhere(self.folder))

    def test_nothing_noted(self) -> None:
        """Of one whose place was not noted nothing is said."""
        (self.folder / "place").unlink()
        self.assertFalse(was_elsewhere(self.folder))

    def test_cannot_be_noted(self) -> None:
        """Where it cannot be noted it is not."""
        (self.folder / "place").unlink()
        (self.folder / "place.new").mkdir()
        note_place(self.folder)
        self.assertFalse(was_elsewhere(self.folder))
