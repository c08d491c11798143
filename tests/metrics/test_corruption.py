"""Tests of gorego_tw.metrics.corruption."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from gorego_tw.errors import DataLoss
from gorego_tw.metrics.corruption import observe_corruption
from gorego_tw.telemetry.observed import Observed
from tests.metrics.reading import value
from tests.storage.tiers import blob, read
from tests.two_tiers import TwoTiersTestCase


class CorruptionTests(TwoTiersTestCase):
    def value(self, registry: CollectorRegistry, tier: str) -> float | None:
        """How many were found in a tier; None if that is not told of."""
        return registry.get_sample_value("gorego_corrupt_blobs_total", {"tier": tier})

    def test_each_tier(self) -> None:
        """What is damaged here and what came wrong from there are told apart."""
        registry = CollectorRegistry()
        observe_corruption(Observed(registry, self.clock), self.tier, self.backing)
        self.assertEqual([self.value(registry, t) for t in ("local", "backing")], [0, 0])
        digest, data = blob(100_000)
        self.remote.blobs[digest] = data[::-1]
        self.failureResultOf(read(self.backing.blobs, digest), DataLoss)
        self.assertEqual([self.value(registry, t) for t in ("local", "backing")], [0, 1])
        digest, _ = self.put(100_001)
        self.path(digest).write_bytes(b"x")
        self.remote.blobs[digest] = blob(100_001)[1]
        self.successResultOf(read(self.backing.blobs, digest))
        self.assertEqual([self.value(registry, t) for t in ("local", "backing")], [1, 1])

    def test_one_tier(self) -> None:
        """Without a backing cache nothing is said of one."""
        registry = CollectorRegistry()
        observe_corruption(Observed(registry, self.clock), self.tier, None)
        self.assertEqual(self.value(registry, "local"), 0)
        self.assertIsNone(self.value(registry, "backing"))

    def test_first_reads(self) -> None:
        """What this process has not written is counted when it is read for the first time."""
        digest, _ = self.put(100_000)
        registry = CollectorRegistry()
        observe_corruption(Observed(registry, self.clock), self.reopen(), None)
        for _ in range(2):
            self.successResultOf(read(self.tier.blobs, digest))
            self.assertEqual(value(registry, "gorego_first_read_verified_bytes_total"), 100_000)
