"""Tests of gorego_tw.remote.patience."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.remote.patience import Patience


class PatienceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.late = 0
        self.patience = Patience(10.0, self.clock, self._note)

    def _note(self) -> None:
        self.late += 1

    def test_late(self) -> None:
        """A message that takes longer is late, once, counted from when it was asked for."""
        self.clock.advance(9)
        self.patience.asked()
        self.clock.pump([1, 8.9])
        self.assertEqual(self.late, 0)
        self.clock.pump([0.2, 100])
        self.assertEqual(self.late, 1)

    def test_each_its_own(self) -> None:
        """Many messages may take long together."""
        for _ in range(10):
            self.patience.asked()
            self.clock.advance(9)
            self.patience.answered()
        self.assertEqual(self.late, 0)

    def test_nobody_waits(self) -> None:
        """While nothing is waited for nothing is late."""
        self.clock.pump([11, 100])
        self.assertEqual(self.late, 0)

    def test_closed(self) -> None:
        """Nothing is late after the end, and no timer is left."""
        self.patience.asked()
        self.patience.close()
        self.clock.advance(100)
        self.assertEqual((self.late, self.clock.getDelayedCalls()), (0, []))
