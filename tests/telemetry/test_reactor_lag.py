"""Tests of gorego_tw.telemetry.reactor_lag."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.reactor_lag import EVERY_SECONDS, ReactorLag


class ReactorLagTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.lag = ReactorLag(self.clock)
        self.lag.startService()

    def test_punctual(self) -> None:
        """A reactor that is on time has no lag."""
        self.clock.pump([EVERY_SECONDS] * 3)
        self.assertEqual(self.lag.lateness.count, 3)
        self.assertAlmostEqual(self.lag.lateness.sum, 0)
        self.assertAlmostEqual(self.lag.seconds, 0)

    def test_late(self) -> None:
        """A reactor that was busy is as late as it was busy; the next timer counts from then on."""
        self.clock.advance(EVERY_SECONDS + 0.5)
        self.assertAlmostEqual(self.lag.lateness.sum, 0.5)
        self.assertAlmostEqual(self.lag.seconds, 0.5)
        self.clock.advance(EVERY_SECONDS)
        self.assertAlmostEqual(self.lag.seconds, 0)

    def test_overdue(self) -> None:
        """Who asks before an overdue timer comes is told how late it is already."""
        self.clock.rightNow += 7
        self.assertAlmostEqual(self.lag.seconds, 7 - EVERY_SECONDS)

    def test_stop(self) -> None:
        """No timer is left."""
        self.lag.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
