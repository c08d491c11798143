"""The local tier after a power cut, simulated: whatever the disk has of the last seconds."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

from twisted.internet.defer import Deferred

from gorego_tw.digest import Digest
from gorego_tw.errors import NotFound
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.checkpoint_record import CheckpointRecord
from gorego_tw.storage.checkpoints import Checkpoints
from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.storage.doubt import FOLDERS
from gorego_tw.storage.index_check import IndexCheck
from gorego_tw.storage.index_opening import Ending
from gorego_tw.storage.lmdb_pages import DamagedPage
from gorego_tw.storage.tier import LocalTier
from tests.storage.power_cut import leave
from tests.storage.tiers import LIMIT_BYTES, TierTestCase, blob, put, read

#: How many power cuts there are.
CUTS = 25

SIZES = (100, 3000, 5000, 40_000)

Blobs = dict[Digest, bytes]


class PowerCutTests(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.random = Random(5)
        self.states: list[Path] = []

    def fill(self, seeds: range) -> Blobs:
        """Keep blobs of all kinds, each in a commit or two."""
        return dict(self.put(size, seed) for seed in seeds for size in SIZES)

    def key(self, number: int) -> ActionKey:
        return ActionKey("", blob(20, number)[0])

    def put_results(self, numbers: range) -> None:
        """Keep action results."""
        for number in numbers:
            result = StoredActionResult(b"%d" % number * 300, ())
            self.successResultOf(self.tier.action_results.put(self.key(number), result))

    def checkpoint(self) -> None:
        """Take one; from now on the disk has at least this."""
        self.successResultOf(self.tier.checkpoint())
        self.states = []
        self.look()

    def look(self) -> None:
        """Remember what the folder is like now."""
        copy = Path(self.mktemp())
        shutil.copytree(self.folder, copy)
        self.states.append(copy)

    def cut(self) -> LocalTier:
        """Cut the power, and open what is left in the next boot."""
        left = Path(self.mktemp())
        leave(self.states, left, self.random)
        tier = LocalTier.open(
            left,
            limit_bytes=LIMIT_BYTES,
            free_reserve_bytes=0,
            clock=self.clock,
            threads=NoDiskThreads(),
            boot="the next one",
        )
        self.addCleanup(lambda: self.successResultOf(tier.close()))
        self.assertIs(tier.ending, Ending.POWER_CUT)
        return tier

    def compare(self, tier: LocalTier) -> None:
        """Compare index and files to the end."""
        tier.reconciliation.startService()
        self.clock.pump([1.0, *[0.0] * (10 * len(FOLDERS))])
        self.successResultOf(tier.reconciliation.stopService())
        self.assertIsNone(tier.inventory.doubt)

    def assert_right(self, tier: LocalTier, blobs: Blobs) -> set[Digest]:
        """What is served is right.

        :returns: what is.
        """
        served = set()
        for digest, data in blobs.items():
            reading = Deferred.fromCoroutine(read(tier.blobs, digest))
            if reading.result == data:
                served.add(digest)
            else:
                self.failureResultOf(reading, NotFound)
            missing = self.successResultOf(tier.blobs.find_missing([digest]))
            self.assertEqual(missing, [] if digest in served else [digest])
        return served

    def test_nothing_is_lost_and_nothing_wrong(self) -> None:
        """All that was there at the checkpoint is served, and of the rest only what is right."""
        before = self.fill(range(20))
        self.put_results(range(20))
        evicted = {digest for number, digest in enumerate(before) if not number % 9}
        self.checkpoint()
        after: Blobs = {}
        for start in range(20, 50, 10):
            after |= self.fill(range(start, start + 10))
            self.put_results(range(start, start + 10))
            self.look()
        self.tier.inventory.evict(digest.key for digest in evicted)
        self.successResultOf(self.tier.empty_trash())
        self.look()
        for number in range(CUTS):
            tier = self.cut()
            if number % 2:
                self.compare(tier)
            served = self.assert_right(tier, before | after)
            self.assertEqual(before.keys() - served - evicted, set())
            for result in range(20):
                found = self.successResultOf(tier.action_results.get(self.key(result)))
                self.assertEqual(found.data, b"%d" % result * 300)

    def test_what_this_is_about(self) -> None:
        """Without the checkpoint, LMDB would see a damaged file in most of these cases."""
        self.fill(range(20))
        self.checkpoint()
        self.fill(range(20, 50))
        self.look()
        damaged = 0
        for _ in range(CUTS):
            left = Path(self.mktemp())
            leave(self.states, left, self.random)
            try:
                IndexCheck(left / "index" / "data.mdb")
            except DamagedPage:
                damaged += 1
        self.assertGreater(damaged, CUTS // 2)

    def test_files_come_back(self) -> None:
        """Blobs that were whole files by then are found again; those that are torn are thrown away."""
        self.checkpoint()
        after = self.fill(range(10))
        self.look()
        tier = self.cut()
        self.compare(tier)
        served = self.assert_right(tier, after)
        whole = tier.reconciliation.adopted
        self.assertEqual(len(served), whole)
        self.assertGreater(whole, 0)
        self.assertGreater(tier.reconciliation.refused, 0)
        self.assertEqual(tier.index.tallies[1].entries, whole)

    def test_put_again_before_the_comparison(self) -> None:
        """A blob whose file is gone is absent at once, and is kept when it comes again."""
        digest, data = self.put(5000)
        self.checkpoint()
        self.tier.inventory.evict([digest.key])
        self.successResultOf(self.tier.empty_trash())
        self.look()
        tier = self.cut()
        Path(tier.files.path(digest.key)).unlink(missing_ok=True)
        self.successResultOf(put(tier.blobs, digest, data))
        self.assertEqual(self.successResultOf(read(tier.blobs, digest)), data)

    def test_uploads(self) -> None:
        """Partial uploads, of which nobody knows what is on the disk, begin anew."""
        self.checkpoint()
        digest, data = blob(100_000)
        upload = self.successResultOf(self.tier.uploads.open("name", digest))
        self.successResultOf(upload.write(data[:50_000]))
        self.successResultOf(upload.suspend())
        self.look()
        tier = self.cut()
        self.assertEqual(self.successResultOf(tier.uploads.committed_size("name")), 0)

    def test_cut_again_while_comparing(self) -> None:
        """What the first power cut has left to be found out is not forgotten by the second."""
        self.checkpoint()
        after = self.fill(range(10))
        self.look()
        left = Path(self.mktemp())
        leave([self.states[-1]], left, self.random)
        shutil.copy(self.states[0] / "index" / "data.mdb", left / "index" / "data.mdb")
        for boot in ("second", "third"):
            self.close_tier(self.tier)
            self.folder = left
            self.open_boot(boot)
            self.successResultOf(self.tier.checkpoint())
            copy = Path(self.mktemp())
            shutil.copytree(left, copy)
            left = copy
        self.compare(self.tier)
        self.assertEqual(
            self.assert_right(self.tier, after), {d for d in after if d.size_bytes > 4080}
        )

    def open_boot(self, boot: str) -> None:
        """Open the folder in another boot."""
        self.tier = LocalTier.open(
            self.folder,
            limit_bytes=LIMIT_BYTES,
            free_reserve_bytes=0,
            clock=self.clock,
            threads=NoDiskThreads(),
            boot=boot,
        )
        self._open = True
        self.addCleanup(self.close_tier, self.tier)


class DoubtedContentTests(TierTestCase):
    """Files that the index knew before anybody had brought them to the disk."""

    def cut(self, since: int) -> None:
        """Cut the power when files since then were not on the disk, and open the folder again."""
        self.close_tier(self.tier)
        record = CheckpointRecord.read(self.folder / "index")
        assert record is not None
        record._replace(clean=False, boot_id="another one", since=since).write(
            self.folder / "index"
        )
        self.open_tier()
        self.assertIs(self.tier.ending, Ending.POWER_CUT)

    def damage(self, digest: Digest) -> int:
        """Let the file have other content, as old as the index says.

        :returns: how old that is.
        """
        path = self.path(digest)
        path.write_bytes(bytes(digest.size_bytes))
        stamp = path.stat().st_ctime_ns
        found = self.tier.inventory.find(digest)
        assert found is not None
        self.tier.inventory.restamp(digest.key, found[0]._replace(stamp=stamp))
        return stamp

    def test_hashed_before_it_is_served(self) -> None:
        """Content that never came to the disk is not served, though the file has its size and stamp."""
        digest, data = self.put(5000)
        self.cut(self.damage(digest))
        self.failureResultOf(self.tier.blobs.get(digest), NotFound)
        self.successResultOf(put(self.tier.blobs, digest, data))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_clock_that_begins_in_the_past(self) -> None:
        """Where the clock of the next boot is behind, everything since then is doubted, and nothing less."""
        digest, _ = self.put(5000)
        since = self.damage(digest)
        self.patch(Checkpoints, "file_system_time", lambda _: since - 10**18)
        self.cut(since)
        self.failureResultOf(self.tier.blobs.get(digest), NotFound)

    def test_hashed_later(self) -> None:
        """What was not read before the comparison ended is hashed at its first read after it."""
        digest, _ = self.put(5000)
        right, data = self.put(6000)
        self.cut(min(self.damage(digest), self.path(right).stat().st_ctime_ns))
        self.tier.reconciliation.startService()
        self.clock.pump([1.0, *[0.0] * (10 * len(FOLDERS))])
        self.successResultOf(self.tier.reconciliation.stopService())
        self.assertIsNone(self.tier.inventory.doubt)
        self.failureResultOf(self.tier.blobs.get(digest), NotFound)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, right)), data)

    def test_since_the_checkpoint_before_a_kill(self) -> None:
        """A kill does not make files safe: the time since when they are not is kept."""
        digest, _ = self.put(5000)
        before = CheckpointRecord.read(self.folder / "index")
        killed = Path(self.mktemp())
        shutil.copytree(self.folder, killed)
        self.close_tier(self.tier)
        self.folder = killed
        self.open_tier()
        self.assertIs(self.tier.ending, Ending.KILLED)
        after = CheckpointRecord.read(killed / "index")
        assert before is not None
        assert after is not None
        self.assertEqual((after.since, after.starts), (before.since, 1))
        self.assertIsNotNone(self.tier.inventory.find(digest))
        self.successResultOf(self.tier.checkpoint())
        last = CheckpointRecord.read(killed / "index")
        assert last is not None
        self.assertGreater(last.since, after.since)
