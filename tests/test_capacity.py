"""How much of the disk is ours."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.capacity import Capacity, capacity

GB = 1_000_000_000


class CapacityTests(SynchronousTestCase):
    def on(self, total_gb: float, max_size_gb: float | None) -> Capacity:
        """The capacity on a file system of that size."""
        blocks = int(total_gb * GB) // 4096
        about = SimpleNamespace(f_frsize=4096, f_blocks=blocks)
        self.patch(os, "statvfs", lambda _: about)
        return capacity(Path(self.mktemp()) / "not" / "there" / "yet", max_size_gb)

    def test_ten_gigabytes_by_default(self) -> None:
        """On an ordinary disk the default is 10 GB, and 1 GB stays free."""
        limit, reserve, total, _ = self.on(500, None)
        self.assertEqual((limit, reserve), (10 * GB, GB))
        self.assertEqual(total // 4096, 500 * GB // 4096)

    def test_less_on_a_small_file_system(self) -> None:
        """The default is never more than the file system holds, and a twentieth stays free."""
        limit, reserve, *_ = self.on(4.096, None)
        self.assertEqual(reserve, 204_800_000)
        self.assertEqual(limit + reserve, 4_096_000_000)

    def test_what_is_configured_counts(self) -> None:
        """A limit that was asked for is the limit, as far as the file system can bear it."""
        self.assertEqual(self.on(500, 0.5).limit_bytes, GB // 2)
        self.assertEqual(self.on(4.096, 100).limit_bytes, 4_096_000_000 - 204_800_000)

    def test_cut(self) -> None:
        """A limit that the file system cannot bear is known for one; the default never is."""
        for total_gb, max_size_gb, is_cut in (
            (500, 498, False),
            (500, 499.5, True),
            (500, 5000, True),
            (4.096, None, False),
        ):
            with self.subTest(max_size_gb):
                self.assertEqual(self.on(total_gb, max_size_gb).is_cut, is_cut)

    def test_the_real_file_system(self) -> None:
        """A folder that does not exist is asked about through those above it."""
        self.assertGreater(capacity(Path(self.mktemp()).absolute(), None).limit_bytes, 0)
