"""The file that a command writes."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from unittest import SkipTest

import click
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.command.output import output


class OutputTestCase(SynchronousTestCase):
    """Has a folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "file"

    def write(self, path: str | Path, data: bytes = b"new") -> None:
        with output(str(path)) as file:
            file.write(data)

    def names(self) -> list[str]:
        """What is in the folder."""
        return [path.name for path in self.folder.iterdir()]

    def refuse(self, path: str | Path, reason: str) -> None:
        """It cannot be written, and that is said in a line."""
        with self.assertRaises(click.ClickException) as raised:
            self.write(path)
        self.assertEqual(raised.exception.message, reason)


class RegularFileTests(OutputTestCase):
    def test_a_new_one(self) -> None:
        """It is there at the end, for whom the umask lets see it, and nothing else is."""
        self.addCleanup(os.umask, os.umask(0o027))
        self.write(self.path)
        self.assertEqual(self.path.read_bytes(), b"new")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o640)
        self.assertEqual(self.names(), ["file"])

    def test_one_that_is_there(self) -> None:
        """It is as it was until the end, and keeps its mode."""
        self.path.write_bytes(b"old")
        self.path.chmod(0o600)
        with output(str(self.path)) as file:
            file.write(b"new")
            file.flush()
            self.assertEqual(self.path.read_bytes(), b"old")
        self.assertEqual(self.path.read_bytes(), b"new")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_broken_off(self) -> None:
        """Whatever ends it early, what was there stays, and nothing is left beside it."""
        self.path.write_bytes(b"old")
        for reason in (KeyboardInterrupt, OSError, ValueError):
            with self.assertRaises((reason, click.ClickException)), output(str(self.path)) as file:
                file.write(b"new")
                raise reason
        self.assertEqual(self.path.read_bytes(), b"old")
        self.assertEqual(self.names(), ["file"])

    def test_beside_others(self) -> None:
        """A file of a similar name is nobody's temporary file."""
        part = self.folder / "file.part"
        part.write_bytes(b"theirs")
        self.write(self.path)
        self.assertEqual(part.read_bytes(), b"theirs")

    def test_a_link(self) -> None:
        """What a link names is replaced, not the link; it need not be there."""
        link = self.folder / "link"
        link.symlink_to("file")
        for data in (b"new", b"newer"):
            self.write(link, data)
            self.assertEqual(self.path.read_bytes(), data)
            self.assertTrue(link.is_symlink())

    def test_a_long_name(self) -> None:
        """A name may be as long as names can be."""
        self.write(self.folder / ("x" * 255))
        self.assertEqual(self.names(), ["x" * 255])


class OtherFileTests(OutputTestCase):
    def test_a_pipe(self) -> None:
        """It is written into."""
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.write(self.path)
        self.assertEqual(os.read(reader, 100), b"new")
        self.assertTrue(self.path.is_fifo())

    def test_a_device(self) -> None:
        """It is written into, and stays, even when it takes nothing."""
        for device in ("/dev/null", "/dev/full"):
            (self.folder / Path(device).name).symlink_to(device)
        self.write(self.folder / "null")
        full = self.folder / "full"
        self.refuse(full, f"{full}: No space left on device")
        self.assertTrue(full.is_char_device())
        self.assertEqual(sorted(self.names()), ["full", "null"])

    def test_standard_output(self) -> None:
        """It is written to under its other names, where it is, also when it is a regular file."""
        with self.path.open("w+b") as file:
            self.patch(sys, "stdout", io.TextIOWrapper(file))
            file.write(b"before, ")
            self.write(f"/dev/fd/{file.fileno()}")
            self.write("-", b", newer")
            self.assertEqual(self.path.read_bytes(), b"before, new, newer")

    def test_standard_output_that_takes_nothing(self) -> None:
        """What it did not take is not written once more at the end."""
        with Path("/dev/full").open("wb") as file:
            self.patch(sys, "stdout", io.TextIOWrapper(file))
            self.refuse("-", "standard output: No space left on device")


class ImpossibleTests(OutputTestCase):
    def test_places(self) -> None:
        """Where no file can be, none is made, and it is said why."""
        self.path.write_bytes(b"old")
        folder = str(self.folder)
        for place, reason in (
            (".", "Is a directory"),
            ("/", "Is a directory"),
            (folder, "Is a directory"),
            (f"{folder}/new/", "No such file or directory"),
            (f"{folder}/absent/new", "No such file or directory"),
            (f"{folder}/file/new", "Not a directory"),
            (f"{folder}/{'x' * 256}", "File name too long"),
        ):
            self.refuse(place, f"{place}: {reason}")
        self.refuse("", "'': No such file or directory")
        self.assertEqual(self.names(), ["file"])
        self.assertEqual(self.path.read_bytes(), b"old")

    def test_a_file_that_may_not_be_written(self) -> None:
        """It is not replaced, though its folder would allow that."""
        self.path.write_bytes(b"old")
        self.path.chmod(0o400)
        if os.access(self.path, os.W_OK):
            raise SkipTest("root may write everything")
        self.refuse(self.path, f"{self.path}: Permission denied")
        self.assertEqual(self.path.read_bytes(), b"old")
        self.assertEqual(self.names(), ["file"])
