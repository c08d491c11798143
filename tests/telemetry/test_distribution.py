"""Tests of gorego_tw.telemetry.distribution."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.distribution import (
    LATENCY_SECONDS,
    SIZE_BYTES,
    Buckets,
    Distribution,
    Example,
    Gathered,
)


def counts(buckets: Buckets) -> list[float]:
    """How many are not above each bound."""
    return [bucket[1] for bucket in buckets]


class DistributionTests(SynchronousTestCase):
    def test_buckets(self) -> None:
        """A value is in the bucket of each bound it is not above; the last one has no bound."""
        found = Distribution((1, 2))
        for value in (0.5, 1, 1.5, 2, 2.5):
            found.observe(value)
        self.assertEqual(found.buckets(), [("1.0", 2), ("2.0", 4), ("+Inf", 5)])
        self.assertEqual((found.count, found.sum), (5, 7.5))

    def test_exemplar(self) -> None:
        """The last example of a bucket is told with it, by the number of its trace."""
        found = Distribution((1, 2))
        for value in (1.25, 1.5):
            found.observe(value)
            found.exemplify(Example(value, round(value * 4), 9.0))
        first, second, third = found.buckets()
        self.assertEqual((len(first), len(third)), (2, 2))
        assert len(second) == 3
        labels = {"trace_id": "00000000000000000000000000000006"}
        self.assertEqual(
            (second[2].labels, second[2].value, second[2].timestamp), (labels, 1.5, 9.0)
        )

    def test_bounds(self) -> None:
        """Times are told from 50 µs to 60 s, sizes from 64 B to 4 GiB."""
        self.assertEqual((LATENCY_SECONDS[0], LATENCY_SECONDS[-1]), (0.00005, 60.0))
        self.assertEqual((SIZE_BYTES[0], SIZE_BYTES[-1]), (64.0, 4.0 * (1 << 30)))
        for bounds in (LATENCY_SECONDS, SIZE_BYTES):
            self.assertEqual(list(bounds), sorted(set(bounds)))


class GatheredTests(SynchronousTestCase):
    def test_as_at_once(self) -> None:
        """What was noted, whenever it is counted, is counted as if it had been observed."""
        random = Random(5)
        at_once, gathered = Distribution(SIZE_BYTES), Gathered(SIZE_BYTES)
        edges = [*SIZE_BYTES, 0.0, 1e12]
        for _ in range(50):
            for _ in range(random.randrange(20)):
                value = random.choice([random.choice(edges), random.uniform(0, 1e4)])
                at_once.observe(value)
                gathered.note(value)
            if random.random() < 0.5:
                gathered.settle()
        self.assertEqual(counts(gathered.buckets()), counts(at_once.buckets()))
        self.assertEqual(gathered.count, at_once.count)
        self.assertAlmostEqual(gathered.sum / at_once.sum, 1.0)

    def test_read_at_any_time(self) -> None:
        """Whoever reads sees what was noted until then."""
        found = Gathered((1,))
        found.note(0.5)
        self.assertEqual(found.sum, 0.5)
        found.note(0.5)
        self.assertEqual(found.count, 2)
        found.note(3)
        self.assertEqual(found.buckets(), [("1.0", 2), ("+Inf", 3)])

    def test_nothing_is_kept(self) -> None:
        """What was counted is let go of."""
        found = Gathered((1,))
        for _ in range(3):
            found.note(0.5)
            found.settle()
            self.assertEqual(found._values, [])
        self.assertEqual(found.count, 3)
