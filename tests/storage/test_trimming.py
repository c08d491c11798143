"""What of the index's file is given back to the file system, and that nobody misses it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from random import Random
from typing import NoReturn

import lmdb
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from gorego_tw.digest import Digest
from gorego_tw.storage import trimming
from gorego_tw.storage.checkpoint_record import CheckpointRecord
from gorego_tw.storage.environment import LEAST_GROWTH_BYTES
from gorego_tw.storage.index_check import IndexCheck
from gorego_tw.storage.lmdb_pages import two_metas
from gorego_tw.storage.records import INLINE, BlobRecord
from gorego_tw.storage.trimming import KEPT_PARTS, LOOK_SECONDS, REST_SECONDS, runs
from tests.storage.test_local import failing
from tests.storage.tiers import TierTestCase, blob, read

Blobs = dict[Digest, bytes]

#: Blobs that take a page and more each, so that a few thousand are more than is kept.
SIZE_BYTES = 4000
BLOBS = 3500


def no_holes(_fd: int, _start: int, _size: int) -> NoReturn:
    """A file system that has none."""
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


class TrimmingTestCase(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reopen(1 << 30)
        # As in a small cache, with the room of a large one.
        self.tier.environment.growth_bytes = LEAST_GROWTH_BYTES
        self.trimming = self.tier.trimming
        self.kept_bytes = KEPT_PARTS * LEAST_GROWTH_BYTES

    def fill(self, count: int = BLOBS, seed: int = 0) -> Blobs:
        """Keep so many blobs in the index, all in one commit."""
        blobs = dict(blob(SIZE_BYTES, seed + number) for number in range(count))
        with self.tier.index.write() as txn:
            for digest, data in blobs.items():
                txn.put_blob(digest.key, BlobRecord(1, INLINE, SIZE_BYTES, 0), data)
        return blobs

    def evict(self, blobs: Blobs) -> None:
        """Evict them, a few with each commit."""
        keys = [digest.key for digest in blobs]
        for start in range(0, len(keys), 64):
            self.tier.inventory.evict(keys[start : start + 64])

    def checkpoint(self) -> None:
        """Two of them: what was freed before the first may be used after the second."""
        for number in range(2):
            with self.tier.index.write() as txn:
                txn.note_latest_use(number)
            self.successResultOf(self.tier.checkpoint())

    def trim(self) -> None:
        """Let it do all that it would do."""
        self.trimming.running = 1
        work = Deferred.fromCoroutine(self.trimming._trim())
        while not work.called:
            self.clock.advance(REST_SECONDS)
        self.successResultOf(work)

    @property
    def file_bytes(self) -> int:
        return self.tier.environment.file_bytes

    def assert_stored(self, blobs: Blobs) -> None:
        for digest, data in blobs.items():
            self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)


class TrimmingTests(TrimmingTestCase):
    def test_service(self) -> None:
        """It looks now and then, as a service of the tier."""
        verifyObject(IService, self.trimming)
        self.assertIn(self.trimming, self.tier.services)
        self.evict(self.fill())
        self.checkpoint()
        self.trimming.startService()
        self.addCleanup(self.trimming.stopService)
        self.clock.pump([LOOK_SECONDS, REST_SECONDS])
        self.assertGreater(self.trimming.given_back_bytes, 0)

    def test_given_back(self) -> None:
        """When most of the file is free, it takes no more than is in use and than is used again soon."""
        blobs = self.fill()
        kept = {digest: blobs.pop(digest) for digest in list(blobs)[:100]}
        self.evict(blobs)
        self.checkpoint()
        length, before = self.tier.environment.file.stat().st_size, self.file_bytes
        self.trim()
        used = self.tier.environment.used_bytes
        self.assertGreater(before, used + self.kept_bytes + (4 << 20))
        self.assertLessEqual(self.file_bytes, used + self.kept_bytes)
        self.assertGreater(self.file_bytes, used + self.kept_bytes - (1 << 20))
        self.assertEqual(self.tier.environment.file.stat().st_size, length)
        self.assert_stored(kept)
        again = self.fill(seed=BLOBS)
        self.assert_stored(again | kept)

    def test_what_is_used_again_soon(self) -> None:
        """Nothing is done about a file that has not much more than is in use."""
        self.evict(self.fill(1000))
        self.checkpoint()
        self.trim()
        self.assertEqual(self.trimming.given_back_bytes, 0)

    def test_before_the_checkpoint(self) -> None:
        """What the last checkpoint has is left as it is; the next checkpoint lets it go."""
        blobs = self.fill()
        self.successResultOf(self.tier.checkpoint())
        self.evict(blobs)
        before = self.file_bytes
        self.trim()
        self.assertGreater(self.file_bytes, before - (1 << 20))
        self.checkpoint()
        self.trim()
        self.assertLess(self.file_bytes, before - (4 << 20))

    def test_reader(self) -> None:
        """What a reader looks at, of another program maybe, is left as it is for as long."""
        blobs = self.fill()
        environment = self.tier.environment
        with environment.begin() as reader:
            self.evict(blobs)
            self.checkpoint()
            self.trim()
            for digest, data in blobs.items():
                self.assertEqual(reader.get(digest.key, db=environment.small), data)

    def test_no_holes(self) -> None:
        """A file system that has none is asked once."""
        self.evict(self.fill())
        self.checkpoint()
        patch = self.patch(trimming, "punch", no_holes)
        self.trim()
        patch.restore()
        self.checkpoint()
        self.trim()
        self.assertEqual(self.trimming.given_back_bytes, 0)

    def test_full_disk(self) -> None:
        """One that has no room for a hole, or fails, is asked again the next time."""
        self.evict(self.fill())
        self.checkpoint()
        self.trimming.startService()
        for code in (errno.ENOSPC, errno.EIO):
            patch = self.patch(trimming, "punch", failing(code))
            self.clock.advance(LOOK_SECONDS)
            patch.restore()
        self.assertEqual(self.trimming.failures, 2)
        self.successResultOf(self.trimming.stopService())
        self.trim()
        self.assertGreater(self.trimming.given_back_bytes, 0)

    def test_slow_disk(self) -> None:
        """Where a hole takes long, writes have all the more time in between."""
        self.evict(self.fill())
        self.checkpoint()
        now = [0.0]

        def slow(_fd: int, _start: int, _size: int) -> None:
            now[0] += 0.5

        self.patch(trimming, "punch", slow)
        self.patch(trimming, "monotonic", lambda: now[0])
        self.trimming.startService()
        began = self.clock.seconds()
        self.clock.pump([LOOK_SECONDS, *[1.0] * 100])
        self.successResultOf(self.trimming.stopService())
        self.assertGreater(now[0], 1)
        self.assertLess(now[0], (self.clock.seconds() - began) / 15)

    def test_rows(self) -> None:
        """Pages in a row are one hole."""
        self.assertEqual(list(runs((9, 8, 7, 5, 3, 2))), [(7, 3), (5, 1), (2, 2)])


class AnyTimeTests(TrimmingTestCase):
    """Whatever is written between holes, all trees are whole: the newest one and the last checkpoint's."""

    def setUp(self) -> None:
        super().setUp()
        self.tier.environment.growth_bytes = 16 << 10
        # Of so little it would be more than may be held for a checkpoint at once.
        self.tier.space.is_held_back = lambda: False
        self.random = Random(1)
        self.blobs: Blobs = {}
        self.at_checkpoint: Blobs = {}

    def change(self, step: int) -> None:
        """Put some and evict others."""
        for number in range(self.random.randrange(30)):
            digest, data = self.put(self.random.choice((100, 3000)), 1000 * step + number)
            self.blobs[digest] = data
        for digest in self.random.sample(list(self.blobs), len(self.blobs) // 3):
            self.tier.inventory.evict([digest.key])
            del self.blobs[digest]

    def entries(self, index: Path) -> Blobs:
        """All blobs that an index has by now, every page of which is looked at first."""
        IndexCheck(index / "data.mdb")
        with lmdb.open(str(index), max_dbs=5) as environment, environment.begin() as txn:
            found = dict(txn.cursor(environment.open_db(b"small", txn)))
        return {Digest(key, len(data)): data for key, data in found.items()}

    def look(self) -> None:
        """A process that was killed now finds all; after a power cut it is as at the checkpoint."""
        copy = Path(self.mktemp())
        shutil.copytree(self.folder / "index", copy)
        self.assertEqual(self.entries(copy), self.blobs)
        shutil.rmtree(copy)
        shutil.copytree(self.folder / "index", copy)
        record = CheckpointRecord.read(copy)
        assert record is not None
        with (copy / "data.mdb").open("r+b") as file:
            file.write(two_metas(record.meta))
        self.assertEqual(self.entries(copy), self.at_checkpoint)
        shutil.rmtree(copy)

    def test_trees_are_whole(self) -> None:
        """Holes are in no tree, at no time."""
        for step in range(30):
            self.change(2 * step)
            if self.random.random() < 0.5:
                self.successResultOf(self.tier.checkpoint())
                self.at_checkpoint = dict(self.blobs)
            self.change(2 * step + 1)
            self.trim()
            if step % 3 == 0:
                self.look()
        self.assertGreater(self.trimming.given_back_bytes, 1 << 20)
