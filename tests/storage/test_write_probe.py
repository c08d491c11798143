"""Tests of gorego_tw.storage.write_probe."""

from __future__ import annotations

import shutil

from gorego_tw.storage.write_probe import PROBE_SECONDS, WriteProbe
from tests.storage.tiers import TierTestCase


class WriteProbeTests(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.probe = WriteProbe(self.tier.files, self.tier.threads, self.clock)
        self.probe.startService()
        self.addCleanup(self.probe.stopService)

    def test_well(self) -> None:
        """Where it can be written nothing is left of the attempt but its time."""
        self.clock.advance(PROBE_SECONDS)
        self.assertIsNone(self.probe.failure)
        self.assertEqual(self.tier.files.arriving(), [])
        self.clock.advance(1)
        self.assertEqual(self.probe.age_seconds, 1)

    def test_failure(self) -> None:
        """Where it cannot, the reason is told until it can again."""
        uploads = self.tier.folder.uploads
        shutil.rmtree(uploads)
        self.clock.advance(PROBE_SECONDS)
        self.assertIn("No such file", self.probe.failure or "")
        uploads.mkdir()
        self.clock.advance(PROBE_SECONDS)
        self.assertIsNone(self.probe.failure)
