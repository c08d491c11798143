"""Files that are compressed, found again without an index."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from gorego_tw.control.inspection import Inspection
from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import NotFound, Unavailable
from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.storage.doubt import FOLDERS, Doubt
from gorego_tw.storage.reconciliation import Unknown
from gorego_tw.storage.records import COMPRESSED, FILE
from gorego_tw.storage.scrub import LOOK_SECONDS, Scrub
from gorego_tw.zstd.seekable import pack_table
from tests.storage.compression import CompressingTestCase, text
from tests.storage.test_compressed_body import make
from tests.storage.test_local import failing
from tests.storage.tiers import TierTestCase, put, read


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


class BlobsThatLookCompressedTests(TierTestCase):
    """A blob that is such a file itself, as from a backup of another cache, found again without an index."""

    def setUp(self) -> None:
        super().setUp()
        inner, data = text(200_000)
        path = Path(self.mktemp())
        make(inner, data, path)
        self.data = path.read_bytes()
        self.digest = digest_of(self.data, DigestFunction.SHA256)
        self.other = Digest(self.digest.key, inner.size_bytes)
        self.successResultOf(put(self.tier.blobs, self.digest, self.data))
        self.lose_index()

    def lose_index(self, *, verify: bool = False) -> None:
        """Let the index know nothing of the file, and compare it with it."""
        with self.tier.index.write() as txn:
            txn.drop_blob(self.digest.key)
        self.tier.inventory.doubt = Doubt(0, 0, verify=verify)
        self.tier.reconciliation.startService()
        self.clock.pump([1.0, *[0.0] * (2 * len(FOLDERS))])
        self.successResultOf(self.tier.reconciliation.stopService())
        self.assertEqual(self.tier.index.tallies[1].entries, 1)

    def missing(self, digest: Digest) -> bool:
        return bool(self.successResultOf(self.tier.blobs.find_missing([digest])))

    def assert_known(self) -> None:
        """The index knows what it is, and so do clients."""
        stamp = self.path(self.digest).stat().st_ctime_ns
        record = self.tier.inventory.record(self.digest.key)
        assert record is not None
        self.assertEqual(record[1:], (FILE, self.digest.size_bytes, stamp, 0))
        self.assertFalse(self.missing(self.digest))
        self.assertTrue(self.missing(self.other))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)
        self.assertEqual(self.tier.inventory.damaged, 0)

    def test_read(self) -> None:
        """It is there before anybody has hashed it, and is what it is for who reads it."""
        self.assertFalse(self.missing(self.digest))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)
        self.assert_known()

    def test_read_as_what_it_is_not(self) -> None:
        """Who asks for what it would expand to finds nothing, and it stays."""
        self.failureResultOf(self.tier.blobs.get(self.other), NotFound)
        self.assert_known()

    def test_verified_at_once(self) -> None:
        """Where files are hashed before they are known it is known right away."""
        self.lose_index(verify=True)
        self.assert_known()

    def test_scrub(self) -> None:
        """The scrub finds out what it is."""
        scrub = Scrub(
            1 << 20,
            environment=self.tier.environment,
            index=self.tier.index,
            inventory=self.tier.inventory,
            files=self.tier.files,
            may_pass=self.tier.unreadable.may_pass,
            threads=self.tier.threads,
            clock=self.clock,
        )
        scrub.startService()
        self.clock.pump([LOOK_SECONDS, *[0.1] * 20])
        scrub.stopService()
        self.assertGreater(scrub.passes, 0)
        self.assert_known()

    def test_verify(self) -> None:
        """A look at it that is to leave no traces says that it is right."""
        inspection = Inspection(self.tier)

        async def no_pace(_: int) -> None:
            pass

        for digest in (self.other, self.digest):
            self.assertIsNone(self.successResultOf(inspection.damage(digest, no_pace)))
        self.assert_known()

    def test_disk_away(self) -> None:
        """A second look at a file that could not be read does not take it for damaged."""
        self.tier.unreadable.startService()
        patch = self.patch(os, "open", failing(errno.EIO))
        self.failureResultOf(self.tier.blobs.get(self.other), Unavailable)
        patch.restore()
        self.clock.pump([10.0] * 10)
        self.successResultOf(self.tier.unreadable.stopService())
        self.assertFalse(self.missing(self.digest))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)
        self.assert_known()

    def test_sent_again(self) -> None:
        """It is kept when it comes again before it was read."""
        self.successResultOf(put(self.tier.blobs, self.digest, self.data))
        self.assert_known()

    def test_damaged(self) -> None:
        """If it is right in no form it is dropped by the first who reads it."""
        content = bytearray(self.data)
        content[1000] ^= 1
        self.path(self.digest).write_bytes(content)
        self.failureResultOf(self.tier.blobs.get(self.digest), NotFound)
        self.assertIsNone(self.tier.inventory.record(self.digest.key))
        self.assertTrue(self.missing(self.digest))

    def test_frames_of_others(self) -> None:
        """What ends like a table and is none of ours is taken for what it is."""
        for data in (
            self.data[:-17] + pack_table([], 0),
            b"?" + self.data,
            os.urandom(5000) + pack_table([3000], 10_000),
        ):
            digest = digest_of(data, DigestFunction.SHA256)
            self.tier.inventory.evict([self.digest.key])
            self.successResultOf(put(self.tier.blobs, digest, data))
            self.digest, self.data = digest, data
            self.lose_index()
            record = self.tier.inventory.record(digest.key)
            assert record is not None
            self.assertEqual((record.location, record.size_bytes), (FILE, len(data)))
            self.assert_known_after_reading()

    def assert_known_after_reading(self) -> None:
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)
        self.assert_known()
