"""The reactor's clock, whatever is done to the time of day."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.steady_clock import keep_steady, steady_seconds


class SteadySecondsTests(SynchronousTestCase):
    def test_goes_on(self) -> None:
        """It begins with the time of day, and goes on with what has passed, whatever that is set to."""
        day, passed = Clock(), Clock()
        day.advance(1_000_000)
        passed.advance(500)
        seconds = steady_seconds(day.seconds, passed.seconds)
        self.assertEqual(seconds(), 1_000_000)
        passed.advance(10)
        day.rightNow -= 3600
        self.assertEqual(seconds(), 1_000_010)
        day.rightNow += 86400
        passed.advance(10)
        self.assertEqual(seconds(), 1_000_020)

    def test_reactor(self) -> None:
        """A reactor has it from then on, at the time of day."""
        clock = Clock()
        keep_steady(clock)  # type: ignore[arg-type]  # a method takes the place of an attribute
        self.assertGreater(clock.seconds(), 1_700_000_000)
        self.assertGreaterEqual(clock.seconds(), clock.seconds() - 1)
