"""Tests of gorego_tw.metrics.reuse."""

from __future__ import annotations

from math import isnan

from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock

from gorego_tw.metrics.reuse import observe_reuse
from gorego_tw.telemetry.observed import Observed
from tests.metrics.reading import value
from tests.reuse.test_sketch import SketchTestCase, digests


class ReuseMetricsTests(SketchTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.registry = CollectorRegistry()
        observe_reuse(Observed(self.registry, Clock()), self.sketch)

    def test_ratios(self) -> None:
        """There is one for each kind of lookup at each limit; it is no number if there was none."""
        blobs = digests(12)
        self.store(blobs)
        self.sketch.look_up_all([blobs[0], *digests(3, seed=2)])
        name = "gorego_estimated_hit_ratio"
        self.assertEqual(value(self.registry, name, "blob", "0.5"), 0)
        self.assertEqual(value(self.registry, name, "blob", "1"), 0)
        self.assertEqual(value(self.registry, name, "blob", "2"), 0.25)
        self.assertTrue(isnan(value(self.registry, name, "action_result", "2")))
        self.assertEqual(value(self.registry, "gorego_estimate_samples"), 12)
