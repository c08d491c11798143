"""The folder: whose it is, what form it has, why it cannot be used."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from gorego_tw.storage.folder import VERSION, Folder, FolderError, FolderInUse


class FolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def open(self) -> Folder:
        folder = Folder(self.path)
        self.addCleanup(folder.close)
        return folder

    def test_made(self) -> None:
        """A folder that does not exist is made, with everything in it."""
        folder = self.open()
        for part in (folder.index, folder.cas, folder.uploads, folder.trash):
            self.assertTrue(part.is_dir())

    def test_again(self) -> None:
        """A folder that was let go of can be opened again."""
        Folder(self.path).close()
        self.open()

    def test_in_use(self) -> None:
        """A folder that somebody has is refused by its name, and stays theirs."""
        self.open()
        for _ in range(2):
            error = self.assertRaises(FolderInUse, Folder, self.path)
            holders = "another daemon, or by a gorego cache command"
            self.assertEqual(str(error), f"{self.path}: in use by {holders}")

    def test_other_version(self) -> None:
        """A folder of another version is refused with the way out, and is not held."""
        Folder(self.path).close()
        (self.path / "version").write_text("7\n")
        error = self.assertRaises(FolderError, Folder, self.path)
        self.assertIn("'7'", str(error))
        for way_out in ("go on with the version of gorego", "another folder"):
            self.assertIn(way_out, str(error))
        (self.path / "version").write_text(f"{VERSION}\n")
        self.open()

    def test_empty_version(self) -> None:
        """A version that a full disk, or a kill, has left empty is written anew."""
        Folder(self.path).close()
        (self.path / "version").write_text("")
        self.open()
        self.assertEqual((self.path / "version").read_text(), f"{VERSION}\n")

    def test_older_version(self) -> None:
        """A folder of the version before is made one of this version; an older checkpoint is no good."""
        Folder(self.path).close()
        (self.path / "version").write_text("1\n")
        (self.path / "index" / "checkpoint").write_text("old")
        folder = self.open()
        self.assertEqual((self.path / "version").read_text(), f"{VERSION}\n")
        self.assertEqual(list(folder.index.iterdir()), [])

    def test_unreadable_version(self) -> None:
        """A version that cannot be read is named."""
        Folder(self.path).close()
        (self.path / "version").unlink()
        (self.path / "version").mkdir()
        error = self.assertRaises(FolderError, Folder, self.path)
        self.assertIn("version", str(error))

    def test_of_others(self) -> None:
        """A folder with something else in it is left as it is."""
        for name in ("notes.txt", "trash/kept.txt", "cas/00/1234"):
            path = Path(self.mktemp())
            file = path / name
            file.parent.mkdir(parents=True)
            file.write_text("theirs")
            error = self.assertRaises(FolderError, Folder, path)
            self.assertIn("no cache folder of gorego", str(error))
            self.assertEqual([found for found in path.rglob("*") if found.is_file()], [file])
            self.assertFalse((path / "index").exists())

    def test_begun(self) -> None:
        """One that was being made when the process was killed is taken, whatever there was of it by then."""
        path = Path(self.mktemp())
        for number, names in enumerate((["lost+found"], ["index"], ["index", "cas", "trash"])):
            path = path.with_name(f"{number}")
            for name in names:
                (path / name).mkdir(parents=True)
            Folder(path).close()
        (path / "version").unlink()
        (path / "cas" / "sha256").mkdir()
        (path / "index.damaged-20261127").mkdir()
        Folder(path).close()

    def test_not_a_folder(self) -> None:
        """A file in the place of the folder is said to be one."""
        self.path.write_bytes(b"")
        error = self.assertRaises(FolderError, Folder, self.path)
        self.assertIn(f"{self.path}: cannot be used as cache folder: ", str(error))

    def test_not_writable(self) -> None:
        """A folder that may not be written is said to be so, in one line."""
        if not os.getuid():
            raise SkipTest("root may write everywhere")
        self.path.mkdir()
        self.path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        error = self.assertRaises(FolderError, Folder, self.path)
        self.assertNotIn("\n", str(error))


class VersionTests(SynchronousTestCase):
    """The version says who may open the folder."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.version = self.path / "version"

    def open(self) -> Folder:
        folder = Folder(self.path)
        self.addCleanup(folder.close)
        return folder

    def test_as_before(self) -> None:
        """A folder without compressed files has the version of programs that do not know them."""
        self.open()
        self.assertEqual(self.version.read_text(), "5\n")

    def test_compressed(self) -> None:
        """From the first compressed file on it has another one, with which it can be opened again."""
        folder = Folder(self.path)
        folder.allow_compressed()
        self.assertEqual(self.version.read_text(), "6\n")
        folder.close()
        self.open().allow_compressed()
        self.assertEqual(self.version.read_text(), "6\n")

    def test_not_written(self) -> None:
        """A version that cannot be written stays the whole one it was."""
        folder = self.open()
        for call in ("fsync", "replace"):

            def fail(*_: object) -> None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            patch = self.patch(os, call, fail)
            error = self.assertRaises(FolderError, folder.allow_compressed)
            patch.restore()
            self.assertIn(f"{self.version}: No space", str(error))
            self.assertEqual(self.version.read_text(), "5\n")
        folder.allow_compressed()
        self.assertEqual(self.version.read_text(), "6\n")
