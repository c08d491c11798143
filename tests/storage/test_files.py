"""Tests of gorego_tw.storage.files."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

from tests.storage.test_local import failing
from tests.storage.tiers import TierTestCase, put, read

LARGE = 2_000_000


class DeletionTests(TierTestCase):
    def file(self, size_bytes: int) -> Path:
        """A file that is on its way to be a blob."""
        path = Path(self.tier.files.temporary())
        path.write_bytes(bytes(size_bytes))
        return path

    def test_small(self) -> None:
        """A small one is gone at once; so is none at all."""
        path = self.file(1000)
        for _ in range(2):
            self.tier.files.delete(str(path))
            self.assertEqual(self.left_behind(), [])

    def test_large(self) -> None:
        """A large one waits in the trash, and is counted there, until a thread deletes it."""
        path = self.file(LARGE)
        self.tier.files.delete(str(path))
        self.assertFalse(path.exists())
        self.assertEqual(len(self.left_behind()), 1)
        self.assertGreaterEqual(self.tier.space.doomed_bytes, LARGE)
        self.successResultOf(self.tier.empty_trash())
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(self.tier.space.doomed_bytes, 0)

    def test_no_trash(self) -> None:
        """Where nothing can be moved to the trash it is deleted where it is."""
        path = self.file(LARGE)
        self.patch(os, "rename", failing(errno.ENOSPC))
        self.tier.files.delete(str(path))
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(self.tier.space.doomed_bytes, 0)

    def test_after_a_crash(self) -> None:
        """What is in the trash when the process ends is no blob for the next one."""
        self.tier.files.delete(str(self.file(LARGE)))
        self.assertEqual(list(self.tier.files.discarded()), [])


class ReplacementTests(TierTestCase):
    def test_large(self) -> None:
        """A large file that is replaced waits in the trash, and is counted there, until a thread deletes it."""
        digest, data = self.put(LARGE)
        self.path(digest).chmod(0o600)
        self.successResultOf(put(self.tier.blobs, digest, data))
        (replaced,) = self.left_behind()
        self.assertEqual((self.folder / "trash" / replaced).read_bytes(), data)
        self.assertGreaterEqual(self.tier.space.doomed_bytes, LARGE)
        self.successResultOf(self.tier.empty_trash())
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_small(self) -> None:
        """A small one is gone at once; and so is one that the trash has no room for."""
        for size in (10_000, LARGE):
            digest, data = self.put(size)
            self.path(digest).chmod(0o600)
            self.patch(os, "link", failing(errno.ENOSPC))
            self.successResultOf(put(self.tier.blobs, digest, data))
            self.assertEqual(self.left_behind(), [])
            self.assertEqual(self.tier.space.doomed_bytes, 0)


class FileNumberTests(TierTestCase):
    def lacking(self, **figures: int) -> int:
        self.patch(os, "statvfs", lambda _: SimpleNamespace(**figures))
        return self.tier.files.lacking_files()

    def test_lacking_files(self) -> None:
        """A file system shall have room for some thousand files yet, or a part of what it is for, if it has a limit."""
        self.assertEqual(self.lacking(f_files=1_000_000, f_favail=4000), 96)
        self.assertEqual(self.lacking(f_files=1000, f_favail=0), 50)
        self.assertLessEqual(self.lacking(f_files=1000, f_favail=50), 0)
        self.assertLess(self.lacking(f_files=0, f_favail=0), -(1 << 60))
