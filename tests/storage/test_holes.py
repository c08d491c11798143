"""Tests of gorego_tw.storage.holes."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.holes import punch, taken_bytes

BLOCK = 4096


class HolesTests(SynchronousTestCase):
    def test_taken(self) -> None:
        """A hole takes nothing of the disk, and the file stays as long as it is."""
        file = Path(self.mktemp())
        file.write_bytes(b"x" * 64 * BLOCK)
        fd = os.open(file, os.O_RDWR)
        self.addCleanup(os.close, fd)
        os.fsync(fd)  # until then its blocks are only promised
        before = taken_bytes(file)
        punch(fd, 8 * BLOCK, 16 * BLOCK)
        self.assertEqual(taken_bytes(file), before - 16 * BLOCK)
        data = file.read_bytes()
        self.assertEqual(data[8 * BLOCK : 24 * BLOCK], bytes(16 * BLOCK))
        self.assertEqual(len(data), 64 * BLOCK)
