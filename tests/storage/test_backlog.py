"""Tests of gorego_tw.storage.backlog: notes of what has still to be compressed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import Digest, DigestFunction
from gorego_tw.storage import backlog
from gorego_tw.storage.backlog import Backlog, noted
from tests.storage.test_local import failing
from tests.storage.tiers import blob


class BacklogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.backlog = self.open()

    def open(self) -> Backlog:
        opened = Backlog(self.path)
        self.addCleanup(opened.close)
        return opened

    def add(self, count: int) -> list[Digest]:
        digests = [blob(10 + number)[0] for number in range(count)]
        for digest in digests:
            self.backlog.add(digest)
        return digests

    def read(self) -> list[Digest | None]:
        return [noted(line) for line in self.open().read()]

    def test_there_and_back(self) -> None:
        """The next process has the notes of this one, of every digest function, in their order."""
        digests = [blob(5000, function=function)[0] for function in DigestFunction]
        for digest in digests:
            self.backlog.add(digest)
        self.assertEqual(self.read(), digests)
        self.assertFalse(self.backlog.is_empty)

    def test_bounded(self) -> None:
        """There are twice as many as fit in a file at most, and the latest are among them."""
        self.patch(backlog, "MOST_NOTES", 10)
        digests = self.add(95)
        self.assertEqual(self.read(), digests[80:])
        self.assertFalse(self.open().is_empty)
        self.backlog.clear(at_once=True)
        self.assertTrue(self.backlog.is_empty)

    def test_cleared(self) -> None:
        """A few are left until more have come, unless it is to be at once."""
        self.patch(backlog, "_FEW_NOTES", 10)
        digests = self.add(9)
        self.backlog.clear()
        self.assertEqual(self.read(), digests)
        self.add(1)
        self.backlog.clear()
        self.assertEqual(self.read(), [])
        self.assertEqual(self.add(2), self.read())
        self.backlog.clear(at_once=True)
        self.assertEqual(self.read(), [])

    def test_full_disk(self) -> None:
        """What cannot be noted is not, and nothing else is wrong."""
        patch = self.patch(os, "write", failing(errno.ENOSPC))
        self.add(3)
        patch.restore()
        self.assertEqual(self.read(), [])
