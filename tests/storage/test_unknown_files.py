"""What files take that the index does not know yet."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from twisted.internet.defer import Deferred

from gorego_tw.digest import Digest
from gorego_tw.storage import unknown_files
from gorego_tw.storage.disk_threads import HeldDiskThreads
from gorego_tw.storage.doubt import FOLDERS, Doubt
from tests.storage.tiers import TierTestCase, put

#: Blobs of one size each, so that folders differ by how many they have alone.
BLOBS = 800
SIZE_BYTES = 9000


class UnknownFilesTests(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.blobs = dict(self.put(SIZE_BYTES, seed) for seed in range(BLOBS))
        self.files_bytes = self.tier.index.tallies[1].file_bytes

    @property
    def unknown_bytes(self) -> int:
        return self.tier.space.used_bytes - self.tier.index.stored_bytes()

    @property
    def counted_bytes(self) -> int:
        """What files are taken for, whether the index knows them or not."""
        tally = self.tier.index.tallies.get(1)
        return self.unknown_bytes + (tally.file_bytes if tally else 0)

    def lose_index(self) -> None:
        """Begin to make it anew, until there is an estimate and a folder was compared."""
        self.close_tier(self.tier)
        (self.folder / "index" / "data.mdb").write_bytes(b"")
        self.begin()

    def begin(self) -> None:
        """Go on with that in a new process."""
        self.threads = HeldDiskThreads()
        self.open_tier(threads=self.threads)
        self.tier.reconciliation.startService()
        self.addCleanup(self.stop)
        before = self.tier.reconciliation.progress
        self.clock.advance(0)
        while self.tier.reconciliation.progress == before:
            self.step()

    def step(self) -> None:
        """Let one piece of work be done."""
        self.threads.held.pop(0)()
        self.clock.advance(0)

    def stop(self) -> None:
        """Stop between two pieces of work."""
        stopped = self.tier.reconciliation.stopService()
        while self.threads.held:
            self.step()
        self.clock.advance(0)
        self.successResultOf(stopped)

    def steps(self) -> Iterator[int]:
        """Compare index and files; after each piece of work, what files are taken for."""
        while self.tier.inventory.doubt is not None:
            yield self.counted_bytes
            self.step()
        yield self.counted_bytes

    def put_now(self, digest: Digest, data: bytes) -> None:
        """Keep a blob while nothing is compared."""
        kept = Deferred.fromCoroutine(put(self.tier.blobs, digest, data))
        self.threads.release()
        self.successResultOf(kept)

    def test_all_the_time(self) -> None:
        """Known or not, files count as much from the first turn to the last; at the end by what is known."""
        self.lose_index()
        self.assertGreater(self.unknown_bytes, 0.9 * self.files_bytes)
        for counted in self.steps():
            self.assertApproximates(counted, self.files_bytes, 0.02 * self.files_bytes)
        self.assertEqual(self.unknown_bytes, 0)
        self.assertEqual(self.counted_bytes, self.files_bytes)

    def test_sample(self) -> None:
        """Where there are many, some of the files tell how much all take, and no more of them are looked at."""
        self.patch(unknown_files, "SAMPLED_FILES", 100)
        self.patch(unknown_files, "SAMPLED_AT_ONCE", 20)
        looked_at = 0
        lstat = os.lstat

        def counting(path: str) -> os.stat_result:
            nonlocal looked_at
            looked_at += 1
            return lstat(path)

        patch = self.patch(os, "lstat", counting)
        self.lose_index()
        patch.restore()
        self.assertTrue(100 <= looked_at < 200, looked_at)
        counted = list(self.steps())
        self.assertApproximates(fmean(counted), self.files_bytes, 0.3 * self.files_bytes)

    def test_from_the_middle(self) -> None:
        """After a restart only those count that were not compared before."""
        self.lose_index()
        while self.tier.reconciliation.progress < 128 / len(FOLDERS):
            self.step()
        known = self.tier.index.tallies[1].file_bytes
        doubt = self.tier.inventory.doubt
        assert doubt is not None
        doubt.write(self.tier.environment)
        self.stop()
        self.close_tier(self.tier)
        self.begin()
        left = self.files_bytes - known
        self.assertApproximates(self.unknown_bytes, left, 0.1 * left)

    def test_sent_again(self) -> None:
        """A blob that comes again takes the place of its file, and does not count twice."""
        self.lose_index()
        self.stop()
        before = self.counted_bytes
        for digest, data in list(self.blobs.items())[: BLOBS // 2]:
            self.put_now(digest, data)
        self.assertGreater(self.tier.index.tallies[1].entries, BLOBS // 2 - 1)
        self.assertApproximates(self.counted_bytes, before, 0.02 * before)
        self.tier.reconciliation.startService()
        self.clock.advance(0)
        for counted in self.steps():
            self.assertApproximates(counted, self.files_bytes, 0.02 * self.files_bytes)
        self.assertEqual(self.counted_bytes, self.files_bytes)

    def test_nothing_unknown(self) -> None:
        """When files are compared that the index knows, they count once."""
        self.tier.inventory.doubt = Doubt(0, 0, verify=True)
        self.tier.inventory.doubt.write(self.tier.environment)
        self.close_tier(self.tier)
        self.begin()
        for counted in self.steps():
            self.assertEqual(counted, self.files_bytes)

    def test_a_large_file(self) -> None:
        """However large a file in the sample is, files are not believed to take more than the limit allows."""
        self.patch(unknown_files, "SAMPLED_FILES", 1)
        self.patch(unknown_files, "SAMPLED_AT_ONCE", 1)
        os.truncate(self.path(min(self.blobs, key=lambda digest: digest.key)), 1 << 40)
        self.lose_index()
        space = self.tier.space
        self.assertTrue(0 < self.unknown_bytes <= space.limit_bytes - space.headroom_bytes)

    def test_stop(self) -> None:
        """A stop does not wait until all of the sample was looked at."""
        self.patch(unknown_files, "SAMPLED_AT_ONCE", 1)
        self.close_tier(self.tier)
        (self.folder / "index" / "data.mdb").write_bytes(b"")
        threads = HeldDiskThreads()
        self.open_tier(threads=threads)
        self.tier.reconciliation.startService()
        self.clock.advance(0)
        stopped = self.tier.reconciliation.stopService()
        self.assertEqual(len(threads.held), 1)
        threads.held.pop()()
        self.successResultOf(stopped)

    def test_unreadable(self) -> None:
        """Folders that cannot be read count as nothing."""
        listdir = os.listdir

        def some(path: str | Path) -> list[str]:
            if "/cas/" in str(path):
                raise OSError(errno.EUCLEAN, os.strerror(errno.EUCLEAN))
            return listdir(path)

        self.patch(os, "listdir", some)
        self.lose_index()
        self.assertEqual(self.unknown_bytes, 0)
