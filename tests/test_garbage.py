"""Tests of gorego_tw.garbage."""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.garbage import THRESHOLDS, SettledHeap


class SettledHeapTests(SynchronousTestCase):
    def test_start_and_stop(self) -> None:
        """While it runs, searches are rare and what was there before is left alone; then all is as before."""
        before = gc.get_threshold()
        heap = SettledHeap()
        heap.startService()
        try:
            self.assertEqual(gc.get_threshold(), THRESHOLDS)
            self.assertGreater(gc.get_freeze_count(), 0)
        finally:
            heap.stopService()
        self.assertEqual(gc.get_threshold(), before)
        self.assertEqual(gc.get_freeze_count(), 0)
