"""Tests of gorego_tw.metrics.compression."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from gorego_tw.metrics.compression import observe_compression
from gorego_tw.telemetry.observed import Observed
from tests.metrics.reading import value
from tests.storage.compression import CompressingTestCase


class CompressionMetricsTests(CompressingTestCase):
    def test_counted(self) -> None:
        """What was compressed counts with what that saved; what was not, by the reason."""
        registry = CollectorRegistry()
        observe_compression(Observed(registry, self.clock), self.compressing)
        digest, _ = self.put_text(1_000_000)
        self.put(100_000)
        self.compressing.passed_over = 7
        blobs, sizes = "gorego_compression_blobs_total", "gorego_compression_bytes_total"
        self.assertEqual(value(registry, blobs, "compressed"), 1)
        self.assertEqual(value(registry, blobs, "incompressible"), 1)
        self.assertEqual(value(registry, blobs, "passed_over"), 7)
        self.assertEqual(value(registry, sizes, "uncompressed"), 1_000_000)
        self.assertEqual(value(registry, sizes, "stored"), self.record(digest).stored_bytes)
        self.assertEqual(value(registry, "gorego_compression_waiting_blobs"), 0)
