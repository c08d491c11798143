"""Closing files that were deleted while they were read."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.closing import CLOSING, close
from gorego_tw.storage.files import FREED_AT_ONCE_BYTES
from tests.storage.tiers import open_files


class CloseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.before = open_files()
        self.later: list[Callable[[], object]] = []

    def opened(self, size_bytes: int) -> int:
        with self.file.open("wb") as file:
            file.truncate(size_bytes)
        return os.open(self.file, os.O_RDONLY)

    def test_a_file_that_is_there_is_closed_at_once(self) -> None:
        """However large it is: none of its blocks are freed."""
        close(self.opened(FREED_AT_ONCE_BYTES + 1), self.later.append)
        self.assertEqual((open_files(), self.later), (self.before, []))

    def test_a_small_deleted_file_is_closed_at_once(self) -> None:
        """What takes no time needs no thread."""
        fd = self.opened(FREED_AT_ONCE_BYTES)
        self.file.unlink()
        close(fd, self.later.append)
        self.assertEqual((open_files(), self.later), (self.before, []))

    def test_a_large_deleted_file_is_closed_elsewhere(self) -> None:
        """Its blocks are freed where nobody waits for it."""
        fd = self.opened(FREED_AT_ONCE_BYTES + 1)
        self.file.unlink()
        close(fd, self.later.append)
        self.assertEqual(open_files(), self.before | {f"{fd} {self.file.absolute()} (deleted)"})
        (work,) = self.later
        work()
        self.assertEqual(open_files(), self.before)

    def test_no_thread(self) -> None:
        """Where no thread can begin, at the end of the process too, it is closed here."""

        def no_thread(_: object) -> None:
            raise RuntimeError("can't start new thread")

        fd = self.opened(FREED_AT_ONCE_BYTES + 1)
        self.file.unlink()
        close(fd, no_thread)
        self.assertEqual(open_files(), self.before)

    def test_elsewhere_is_a_thread(self) -> None:
        """That ends when the file is closed."""
        fd = self.opened(FREED_AT_ONCE_BYTES + 1)
        self.file.unlink()
        close(fd)
        self.assertEqual(open_files(), self.before)
        self.assertEqual([thread for thread in threading.enumerate() if thread.name == CLOSING], [])
