"""Tests of gorego_tw.storage.write_probe."""

from __future__ import annotations

import shutil
from typing import NoReturn

import lmdb

from gorego_tw.storage.disk_threads import HeldDiskThreads
from gorego_tw.storage.write_probe import PATIENCE_SECONDS, PROBE_SECONDS, WriteProbe
from tests.storage.tiers import TierTestCase


class WriteProbeTests(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.probe = WriteProbe(
            self.tier.files, self.tier.environment, self.tier.threads, self.clock
        )
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

    def test_index(self) -> None:
        """Trouble of the index is told, too."""

        def fail(**_: object) -> NoReturn:
            raise lmdb.DiskError("mdb_txn_begin: Input/output error")

        patch = self.patch(self.tier.environment, "begin", fail)
        self.clock.advance(PROBE_SECONDS)
        self.assertIn("Input/output error", self.probe.failure or "")
        patch.restore()
        self.clock.advance(PROBE_SECONDS)
        self.assertIsNone(self.probe.failure)

    def test_no_answer(self) -> None:
        """A disk that hangs is told of as long as it does."""
        held = HeldDiskThreads()
        probe = WriteProbe(self.tier.files, self.tier.environment, held, self.clock)
        probe.startService()
        self.addCleanup(probe.stopService)
        self.clock.advance(PROBE_SECONDS)
        self.clock.advance(PATIENCE_SECONDS)
        self.assertIsNone(probe.failure)
        self.clock.advance(1)
        self.assertEqual(
            probe.failure,
            f"local tier: a write has been under way for {PATIENCE_SECONDS + 1:.0f} s",
        )
        held.release()
        self.assertIsNone(probe.failure)
