"""The index's file, written once more as it is."""

from __future__ import annotations

import errno
import os
import time
from itertools import count

from gorego_tw.storage import rewriting
from gorego_tw.storage.rewriting import write_again
from tests.storage.test_local import failing
from tests.storage.tiers import TierTestCase, read


class RewritingTests(TierTestCase):
    def test_while_it_is_in_use(self) -> None:
        """Commits between two parts are kept, and holes stay holes."""
        self.patch(rewriting, "PART_BYTES", 64 << 10)
        blobs = dict(self.put(2000, 1000 + seed) for seed in range(100))
        self.successResultOf(self.tier.checkpoint())
        seeds = count()
        self.patch(time, "sleep", lambda _: blobs.update([self.put(1000, next(seeds))]))
        file = self.tier.environment.file
        with file.open("r+b") as data:
            data.truncate(file.stat().st_size + (1 << 20))
        taken = file.stat().st_blocks
        write_again(self.tier.environment)
        self.assertGreater(next(seeds), 10)
        self.assertLess(file.stat().st_blocks - taken, next(seeds) * 15 * 8)
        for digest, content in blobs.items():
            self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), content)

    def test_disk_fails(self) -> None:
        """A disk that fails again is told, and holds nothing up."""
        patch = self.patch(os, "pwrite", failing(errno.EIO))
        self.assertRaises(OSError, write_again, self.tier.environment)
        patch.restore()
        self.put(1000)
