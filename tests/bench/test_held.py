"""Tests of bench.held."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bench import held as held_module
from bench.held import held


class HeldTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.file.write_bytes(bytes(40_000))

    def locked_bytes(self) -> int:
        """How much of the file is locked (proc(5), smaps)."""
        maps = Path("/proc/self/smaps").read_text()
        mine = maps.partition(str(self.file.resolve()))[2]
        found = re.search(r"^Locked: +(\d+) kB$", mine, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0

    def test_held(self) -> None:
        """It is locked until the end, if that is allowed, and not changed."""
        with held(self.file) as is_held:
            self.assertEqual(self.locked_bytes() >= 40_000, is_held)
        self.assertEqual(self.locked_bytes(), 0)
        self.assertEqual(self.file.read_bytes(), bytes(40_000))

    def test_not_allowed(self) -> None:
        """Else it is read all the same, and that is told."""
        self.patch(held_module._libc, "mlock", lambda *_: -1)
        with held(self.file) as is_held:
            self.assertFalse(is_held)
