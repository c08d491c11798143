"""Files that are compressed, found again without an index."""

from __future__ import annotations

import errno
import os

from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.storage.doubt import FOLDERS, Doubt
from gorego_tw.storage.reconciliation import Unknown
from gorego_tw.storage.records import COMPRESSED
from tests.storage.compression import CompressingTestCase
from tests.storage.test_local import failing
from tests.storage.tiers import read


class CompressedFilesTests(CompressingTestCase):
    background = NoDiskThreads()

    def forget(self, *, verify: bool) -> None:
        """Let the index know nothing of the files, and compare it with them."""
        key = self.digest.key
        with self.tier.index.write() as txn:
            txn.drop_blob(key)
        self.tier.inventory.doubt = Doubt(0, 0, verify=verify)
        self.tier.reconciliation.startService()
        self.clock.pump([1.0, *[0.0] * (2 * len(FOLDERS))])
        self.successResultOf(self.tier.reconciliation.stopService())

    def test_adopted(self) -> None:
        """Hashed at once or at its first read, a compressed file is the blob that it was."""
        self.digest, data = self.put_text(200_000)
        for verify in (True, False):
            self.forget(verify=verify)
            record = self.tier.inventory.record(self.digest.key)
            assert record is not None
            self.assertEqual((record.location, record.size_bytes), (COMPRESSED, 200_000))
            self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), data)
        self.assertEqual(self.tier.inventory.damaged, 0)

    def test_disk_away_for_a_moment(self) -> None:
        """Files that cannot be read while they are compared are looked at until that lasts too long."""
        self.digest, data = self.put_text(200_000)
        for verify in (True, False):
            patch = self.patch(os, "open", failing(errno.EIO))
            self.forget(verify=verify)
            self.assertLess(self.tier.reconciliation.progress, 1)
            patch.restore()
            self.tier.reconciliation.startService()
            self.clock.pump([1.0, *[0.0] * (2 * len(FOLDERS))])
            self.successResultOf(self.tier.reconciliation.stopService())
            self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), data)
        self.patch(os, "preadv", failing(errno.EIO))
        self.forget(verify=True)
        self.tier.reconciliation.startService()
        self.clock.pump([*[1.0] * 100, *[0.0] * (2 * len(FOLDERS))])
        self.assertEqual(self.tier.reconciliation.progress, 1)
        self.assertEqual(self.tier.reconciliation.refused, 1)

    def test_stop(self) -> None:
        """A stop waits for the file that is being hashed, not for all of them; the next process begins with them."""
        digests = [self.put_text(200_000, seed)[0] for seed in range(3)]
        for digest in digests:
            with self.tier.index.write() as txn:
                txn.drop_blob(digest.key)
        doubt = self.tier.inventory.doubt = Doubt(0, 0, verify=True)
        verified: list[bytes] = []

        async def verify(file: Unknown) -> None:
            verified.append(file.key)
            self.tier.reconciliation.running = 0

        self.patch(self.tier.reconciliation, "_verify", verify)
        self.tier.reconciliation.startService()
        self.clock.pump([1.0, *[0.0] * (2 * len(FOLDERS))])
        self.assertEqual(len(verified), 1)
        self.assertEqual(FOLDERS[doubt.position], verified[0][:2])

    def test_a_folder_that_cannot_be_read(self) -> None:
        """One folder that the disk never reads is left out; all others are compared."""
        self.digest, data = self.put_text(200_000)
        bad = (self.digest.key[1] + 1) % 256
        listdir = os.listdir

        def some(path: str) -> list[str]:
            if path.endswith(f"/{bad:02x}"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return listdir(path)

        self.patch(os, "listdir", some)
        self.forget(verify=True)
        self.tier.reconciliation.startService()
        self.clock.pump([*[1.0] * 100, *[0.0] * (2 * len(FOLDERS))])
        self.assertEqual(self.tier.reconciliation.progress, 1)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), data)
