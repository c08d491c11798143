"""Room for making room."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.ballast import MOST_BYTES, Ballast
from tests.storage.test_local import failing


class BallastTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def test_taken_and_thrown(self) -> None:
        """It takes its part of the disk until it is thrown away, once."""
        ballast = Ballast(self.path, 4 << 20)
        self.assertFalse(ballast.throw())
        for _ in range(2):
            ballast.take()
        self.assertGreaterEqual(self.path.stat().st_blocks * 512, 1 << 20)
        self.assertTrue(Ballast(self.path, 4 << 20).held)
        self.assertTrue(ballast.throw())
        self.assertFalse(self.path.exists())
        self.assertFalse(ballast.throw())

    def test_size(self) -> None:
        """It is a part of what is left free, and never much; without that there is none."""
        self.assertEqual(Ballast(self.path, 1 << 40).size_bytes, MOST_BYTES)
        none = Ballast(self.path, 0)
        none.take()
        self.assertFalse(none.held)
        self.assertFalse(self.path.exists())

    def test_no_room(self) -> None:
        """Where there is no room for it there is none of it."""
        ballast = Ballast(self.path, 4 << 20)
        self.patch(os, "posix_fallocate", failing(errno.ENOSPC))
        self.assertRaises(OSError, ballast.take)
        self.assertFalse(ballast.held)
        self.assertFalse(self.path.exists())
