"""Tests of the policy of eviction, and of the estimate of other limits, on a trace."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bench.ci_trace import DAY, CITrace, Shape
from bench.hit_rate import asked_bytes, replayed
from bench.replay import ExactLRU, Tier
from bench.sketched import SketchedTier
from gorego_tw.reuse.sketch import LIMITS
from gorego_tw.settings import MIN_AGE_SECONDS

SHAPE = Shape(days=3, targets=300, branches=5, builds_per_hour=4, toolchain_bytes=500_000)


class CITraceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.requests = list(CITrace(1, SHAPE).requests())

    def test_repeatable(self) -> None:
        """The same seed makes the same trace, another one another."""
        self.assertEqual(list(CITrace(1, SHAPE).requests()), self.requests)
        self.assertNotEqual(list(CITrace(2, SHAPE).requests())[:50], self.requests[:50])

    def test_nightly_builds(self) -> None:
        """There is a full build every night."""
        nights = [
            sum(
                request.entries[0].action is not None
                for request in self.requests
                if 2 * 3600 <= request.time - self.begin - day * DAY < 2 * 3600 + 300
            )
            for day in range(SHAPE.days)
        ]
        self.assertTrue(all(count >= SHAPE.targets for count in nights), nights)

    @property
    def begin(self) -> float:
        return self.requests[0].time // DAY * DAY

    def test_reuse(self) -> None:
        """Most of what is asked for was asked for before."""
        cache = replayed(ExactLRU(1 << 60), self.requests)
        self.assertTrue(0.6 < cache.hit_ratio < 0.98, cache.hit_ratio)


class HitRateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.requests = list(CITrace(1, SHAPE).requests())
        self.total = asked_bytes(self.requests)

    def replay(self, cache: Tier) -> None:
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(cache.close())))
        cache.replay(self.requests)

    def test_as_exact_lru(self) -> None:
        """The policy has as many hits as exact LRU, by requests and by bytes, to within a percent,
        without pins and with those that are the default.
        """
        for part, min_age_seconds in ((0.2, 0), (0.4, 0), (0.2, MIN_AGE_SECONDS)):
            capacity = int(self.total * part)
            exact = replayed(ExactLRU(capacity), self.requests)
            ours = Tier(capacity, Path(self.mktemp()), min_age_seconds)
            self.replay(ours)
            self.assertGreater(ours.hit_ratio, exact.hit_ratio - 0.01)
            self.assertGreater(ours.byte_hit_ratio, exact.byte_hit_ratio - 0.01)
            self.assertLessEqual(ours.used_bytes, capacity)

    def test_estimate(self) -> None:
        """What is estimated of other limits is true to within 3 percent, from one entry in four."""
        capacity = int(self.total * 0.3)
        ours = SketchedTier(capacity, Path(self.mktemp()), 1 / 4)
        self.replay(ours)
        self.assertLess(len(ours.sketch), len(self.requests) / 4)
        for place, limit in enumerate(LIMITS):
            exact = replayed(ExactLRU(int(limit * capacity)), self.requests)
            for kind, counts in ((True, ours.sketch.actions), (False, ours.sketch.blobs)):
                true = exact.found[kind] / exact.looked_up[kind]
                self.assertLess(abs(counts.hit_ratios()[place] - true), 0.03)
