"""Damaged indexes that were set aside."""

from __future__ import annotations

from random import Random

from gorego_tw.eviction.janitor import LOOK_SECONDS, Janitor
from tests.storage.test_salvage import SalvageTestCase, without_its_root
from tests.storage.tiers import LIMIT_BYTES


class SetAsideTests(SalvageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.change(without_its_root)

    def look(self) -> None:
        """Let the janitor see whether there is too much."""
        janitor = Janitor(self.tier, Random(1))
        janitor.startService()
        self.clock.pump([LOOK_SECONDS, *[0.01] * 200])
        stopped = janitor.stopService()
        self.clock.pump([0.01])
        self.successResultOf(stopped)

    def test_counts_when_it_was_read(self) -> None:
        """It counts as used from when nothing comes back from it any more, also after a restart."""
        (path,) = self.set_aside()
        on_disk = (path / "data.mdb").stat().st_blocks * 512
        before = self.tier.space.used_bytes - self.tier.index.stored_bytes()
        self.assertEqual((before, self.tier.set_aside.size_bytes), (0, 0))
        self.salvage()
        for _ in range(2):
            used = self.tier.space.used_bytes - self.tier.index.stored_bytes()
            self.assertGreaterEqual(used, on_disk)
            self.assertEqual(used, self.tier.set_aside.size_bytes)
            self.reopen()

    def test_stays(self) -> None:
        """As long as there is room it is kept."""
        self.salvage()
        self.assertLess(self.tier.space.used_bytes, LIMIT_BYTES // 2)
        self.look()
        self.assertEqual(len(self.set_aside()), 1)

    def test_goes_first(self) -> None:
        """When there is too much, it goes, and nothing else if that is enough."""
        self.salvage()
        space = self.tier.space
        space.headroom_bytes = 0
        space.limit_bytes = space.used_bytes - 1
        self.look()
        self.assertEqual((self.set_aside(), self.tier.set_aside.size_bytes), ([], 0))
        self.assertEqual(self.served(), self.small)

    def test_stays_while_it_is_read(self) -> None:
        """As long as blobs come back from it, it stays, whatever has to go."""
        self.tier.space.limit_bytes = 1
        self.look()
        self.assertEqual(len(self.set_aside()), 1)
        self.salvage()
        self.look()
        self.assertEqual(self.set_aside(), [])
