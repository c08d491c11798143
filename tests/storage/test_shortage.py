"""Why a file does not get longer."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.shortage import shortage
from tests.storage.test_local import failing


class ShortageTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.file = folder / "data.mdb"
        self.file.write_bytes(bytes(8192))

    def tearDown(self) -> None:
        """Nothing is left beside the file."""
        self.assertEqual(list(self.file.parent.iterdir()), [self.file])

    def test_none(self) -> None:
        """Where there is room there is none."""
        self.assertIsNone(shortage(self.file))

    def test_full(self) -> None:
        """A full disk, or a quota that is used up, is told in the system's words."""
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            patch = self.patch(os, "pwrite", failing(code))
            self.assertEqual(shortage(self.file), os.strerror(code))
            patch.restore()

    def test_cut_short(self) -> None:
        """A disk that takes a part is full when it takes no more."""
        pwrite, left = os.pwrite, [10_000]

        def write(fd: int, data: bytes, offset: int) -> int:
            if not left[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = pwrite(fd, data[: left[0]], offset)
            left[0] -= written
            return written

        self.patch(os, "pwrite", write)
        self.assertEqual(shortage(self.file), "No space left on device")

    def test_limit(self) -> None:
        """A file that is as long as files may be is told so; one that is shorter is not."""
        self.patch(resource, "getrlimit", lambda _: (8192, -1))
        self.assertEqual(shortage(self.file), "File too large")
        os.truncate(self.file, 8191)
        self.assertIsNone(shortage(self.file))

    def test_disk_fails(self) -> None:
        """A disk that fails otherwise lacks nothing."""
        self.patch(os, "pwrite", failing(errno.EIO))
        self.assertIsNone(shortage(self.file))
