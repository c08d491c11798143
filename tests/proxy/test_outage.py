"""Tests of gorego_tw.proxy.outage."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import DeadlineExceeded, NotFound, PermissionDenied, Unavailable
from gorego_tw.proxy.outage import Outage
from gorego_tw.remote.breaker import FAILURES, Breaker, CircuitOpen


class OutageTests(SynchronousTestCase):
    def test_as_absence(self) -> None:
        """Trouble is a miss that says why, where builds are to go on."""
        outage = Outage(as_absence=True)
        told = outage.of(Unavailable("backing cache: down"))
        self.assertIsInstance(told, NotFound)
        self.assertEqual(told.message, "not in the local tier; backing cache: down")
        self.assertEqual(outage.told, 1)

    def test_as_trouble(self) -> None:
        """Trouble is UNAVAILABLE, whatever its code was, where builds are to wait."""
        outage = Outage(as_absence=False)
        told = outage.of(DeadlineExceeded("backing cache: slow"))
        self.assertIsInstance(told, Unavailable)
        self.assertEqual((told.message, outage.told), ("backing cache: slow", 1))

    def test_watch(self) -> None:
        """When it is over the log says, once, what was done without the backing cache."""
        outage, breaker = Outage(as_absence=True), Breaker("the peer", clock=Clock())
        outage.watch(breaker)
        with capturedLogs() as events:
            for _ in range(2):
                for _ in range(FAILURES):
                    breaker.failed(Unavailable("down"))
                outage.of(self.refusal(breaker))
                breaker.probing()
                breaker.succeeded()
        said = [str(formatEvent(event)) for event in events]
        ends = [line for line in said if line.startswith("without")]
        for line in ends:
            self.assertIn("without the peer 1 lookups", line)
            self.assertIn("and 1 calls were not made", line)
        self.assertEqual(len(ends), 2)

    def refusal(self, breaker: Breaker) -> CircuitOpen:
        """What a call fails with at once."""
        refused: CircuitOpen = self.assertRaises(CircuitOpen, breaker.check)
        return refused

    def test_no_trouble(self) -> None:
        """What is no trouble is told as it is."""
        outage = Outage(as_absence=True)
        for error in (PermissionDenied("no"), NotFound("none")):
            self.assertIs(outage.of(error), error)
        self.assertEqual(outage.told, 0)
