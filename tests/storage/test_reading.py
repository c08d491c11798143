"""Tests of gorego_tw.storage.reading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.reading import read_all, read_now, read_without_trace


class ReadingTests(SynchronousTestCase):
    def setUp(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(bytes(range(200)))
        self.fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, self.fd)

    def test_now(self) -> None:
        """What was just written is in memory, and nothing is behind the end."""
        memory = memoryview(bytearray(300))
        if (count := read_now(self.fd, memory, 50)) is not None:
            self.assertEqual(bytes(memory[:count]), bytes(range(50, 200)))
            self.assertEqual(read_now(self.fd, memory, 200), 0)

    def test_all(self) -> None:
        """However little comes at once, all that is asked for is read, or all there is."""
        preadv = os.preadv

        def little(fd: int, buffers: Sequence[memoryview], offset: int, flags: int = 0) -> int:
            return preadv(fd, [buffers[0][:7]], offset, flags)

        self.patch(os, "preadv", little)
        for read in (read_all, read_without_trace):
            memory = memoryview(bytearray(100))
            self.assertEqual(read(self.fd, memory, 20), 100)
            self.assertEqual(bytes(memory), bytes(range(20, 120)))
            self.assertEqual(read(self.fd, memory, 150), 50)
            self.assertEqual(bytes(memory[:50]), bytes(range(150, 200)))
            self.assertEqual(read(self.fd, memory, 200), 0)
