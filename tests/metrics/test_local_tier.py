"""Tests of gorego_tw.metrics.local_tier."""

from __future__ import annotations

from random import Random

import lmdb
from prometheus_client import CollectorRegistry

from gorego_tw.eviction.in_progress import InProgress
from gorego_tw.eviction.janitor import Janitor
from gorego_tw.metrics.local_tier import observe_tier
from gorego_tw.telemetry.observed import Observed
from tests.metrics.reading import value
from tests.storage.tiers import LIMIT_BYTES, TierTestCase, blob, put


class TierMetricsTests(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.registry = CollectorRegistry()
        self.janitor = Janitor(self.tier, Random(1))
        observe_tier(Observed(self.registry, self.clock), self.tier, self.janitor)

    def value(self, name: str, *labels: str) -> float:
        """What a metric says."""
        return value(self.registry, name, *labels)

    def test_disk(self) -> None:
        """What is kept counts, as it is on the disk, and so does what was refused."""
        empty = self.value("gorego_disk_usage_bytes")
        self.successResultOf(put(self.tier.blobs, *blob(1_000_000)))
        self.assertGreaterEqual(self.value("gorego_disk_usage_bytes") - empty, 1_000_000)
        self.assertEqual(self.value("gorego_disk_limit_bytes"), LIMIT_BYTES)
        self.assertEqual(self.value("gorego_disk_reserved_bytes"), 0)
        self.assertEqual(self.value("gorego_disk_writes_refused_total"), 0)

    def test_index_fails(self) -> None:
        """When the index cannot be read, what is known without it is still there."""

        def fail(**_: object) -> object:
            raise lmdb.DiskError("broken")

        digest, data = blob(10)
        self.successResultOf(put(self.tier.blobs, digest, data))
        self.tier.inventory.evict([digest.key])  # what is left is measured next
        self.patch(self.tier.environment, "begin", fail)
        self.assertRaises(AssertionError, self.value, "gorego_disk_usage_bytes")
        self.assertEqual(self.value("gorego_disk_limit_bytes"), LIMIT_BYTES)

    def test_entries(self) -> None:
        """Entries are counted by what they are."""
        self.successResultOf(put(self.tier.blobs, *blob(10)))
        self.assertEqual(self.value("gorego_cache_entries", "sha256"), 1)
        self.assertEqual(self.value("gorego_cache_entries", "action_result"), 0)

    def test_evictions(self) -> None:
        """Evictions are counted in files and in bytes."""
        self.janitor.evicted_entries, self.janitor.evicted_bytes = 3, 12_288
        self.janitor.last_evicted_age_seconds = 77
        self.assertEqual(self.value("gorego_janitor_evictions_total", "files"), 3)
        self.assertEqual(self.value("gorego_janitor_evictions_total", "bytes"), 12_288)
        self.assertEqual(self.value("gorego_janitor_evicted_age_seconds"), 77)

    def test_upkeep(self) -> None:
        """Checkpoints, the comparison of index and files, and scrub are counted."""
        self.successResultOf(self.tier.checkpoint())
        self.assertEqual(self.value("gorego_checkpoints_total"), 1)
        self.assertEqual(self.value("gorego_index_comparison_progress_ratio"), 1)
        self.tier.reconciliation.adopted = 4
        self.assertEqual(self.value("gorego_index_comparison_total", "adopted"), 4)
        self.tier.scrub.scrubbed_entries, self.tier.scrub.scrubbed_bytes = 3, 77
        self.assertEqual(self.value("gorego_scrub_entries_total"), 3)
        self.assertEqual(self.value("gorego_scrub_bytes_total"), 77)
        self.assertEqual(self.value("gorego_scrub_passes_total"), 0)
        self.assertEqual(self.value("gorego_scrub_progress_ratio"), 0)

    def test_pins(self) -> None:
        """What is pinned is told in bytes, and what lost its pin by why."""
        self.janitor = Janitor(
            self.tier, Random(1), in_progress=InProgress(self.tier.last_use, 9, 1)
        )
        self.registry = CollectorRegistry()
        observe_tier(Observed(self.registry, self.clock), self.tier, self.janitor)
        self.janitor.in_progress.note([blob(10)[0]])
        self.assertEqual(self.value("gorego_pinned_bytes"), 0)
        self.assertEqual(self.value("gorego_pins_released_total", "bound"), 1)
        self.assertEqual(self.value("gorego_pins_released_total", "need"), 0)
