"""So many bytes in a second, whatever the pieces and whatever the clock does."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.pace import Pace


class PaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pace = Pace(1000, self.clock)
        self.running = True

    def seconds(self, size_bytes: int, times: int = 1) -> float:
        """How long it takes to do so much so often."""
        began = self.clock.seconds()
        for _ in range(times):
            waiting = Deferred.fromCoroutine(self.pace.keep(size_bytes, lambda: self.running))
            while not waiting.called:
                self.clock.advance(self.clock.getDelayedCalls()[0].getTime() - self.clock.seconds())
        return self.clock.seconds() - began

    def test_large_pieces(self) -> None:
        """A piece of two seconds takes two seconds."""
        self.assertAlmostEqual(self.seconds(2000), 2)
        self.assertAlmostEqual(self.seconds(500, 10), 5)

    def test_small_pieces(self) -> None:
        """Pieces of a millisecond are not waited for one by one, and all together take their time."""
        self.assertApproximates(self.seconds(1, 1000), 1, 0.02)

    def test_idle(self) -> None:
        """Time in which nothing was done is not made up for."""
        self.clock.advance(100)
        self.assertAlmostEqual(self.seconds(1000, 3), 3)

    def test_clock_set_back(self) -> None:
        """A clock that was set back changes nothing of the pace."""
        self.seconds(1000)
        self.clock.rightNow -= 500
        self.assertAlmostEqual(self.seconds(1000), 1)

    def test_stopped(self) -> None:
        """Who is stopped waits for half a second more at most."""
        self.running = False
        self.assertLessEqual(self.seconds(1_000_000), 0.5)
