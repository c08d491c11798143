"""What is said of the figures of many entries, and the entries themselves."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.scale import EVICTING_P99, QUIET_P99, keep_up, slowed, verdict
from bench.scale_content import Content
from gorego_tw.storage.records import ACTIONS
from tests.storage.tiers import TierTestCase


def column(quiet: float, evicting: float) -> dict[str, float]:
    """The figures of one size."""
    return {QUIET_P99: quiet, EVICTING_P99: evicting}


class VerdictTests(SynchronousTestCase):
    def test_growth(self) -> None:
        """A figure may grow as far as it is said, and no further."""
        self.assertTrue(verdict("hit p99, µs", 50.0, 100.0).endswith("reached"))
        self.assertTrue(verdict("hit p99, µs", 50.0, 101.0).endswith("SHORT"))
        self.assertTrue(verdict("inserts per second", 20.0, 9.0).endswith("SHORT"))
        self.assertEqual(verdict("index file, MB", 1.0, 1000.0), "")

    def test_slowed(self) -> None:
        """Hits while it evicts are compared with those of the same column; the worst one decides."""
        good = slowed([column(500.0, 600.0), column(400.0, 800.0)])
        self.assertIn("x 1.20", good)
        self.assertIn("x 2.00", good)
        self.assertTrue(good.endswith("reached"))
        self.assertTrue(slowed([column(500.0, 600.0), column(400.0, 900.0)]).endswith("SHORT"))


class ContentTests(TierTestCase):
    def test_fill(self) -> None:
        """Half are blobs and half action results, all complete, of many ages, with checkpoints between."""
        points: list[int] = []
        content = Content(20_000)
        content.fill(self.tier.index, lambda: points.append(self.tier.index.tallies[1].entries))
        tallies = self.tier.index.tallies
        self.assertEqual((tallies[1].entries, tallies[ACTIONS].entries), (10_000, 10_000))
        self.assertEqual(points, [5_000, 10_000])
        self.assertIsNotNone(self.tier.index.blob(content.blob(9_999)[0].key))
        ages = {used for _, used in self.tier.index.neighbours(bytes([1]) + bytes(32), 100)}
        self.assertGreater(len(ages), 90)

    def test_keep_up(self) -> None:
        """A checkpoint is taken when so much was written that one is due, and only then."""
        keep_up(self.tier)
        taken = self.tier.checkpoints.taken
        keep_up(self.tier)
        self.assertEqual(self.tier.checkpoints.taken, taken)
        while not self.tier.checkpoints.due:
            self.tier.last_use.note()
        keep_up(self.tier)
        self.assertEqual(self.tier.checkpoints.taken, taken + 1)
