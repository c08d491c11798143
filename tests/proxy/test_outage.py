"""Tests of gorego_tw.proxy.outage."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import DeadlineExceeded, NotFound, PermissionDenied, Unavailable
from gorego_tw.proxy.outage import Outage


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

    def test_no_trouble(self) -> None:
        """What is no trouble is told as it is."""
        outage = Outage(as_absence=True)
        for error in (PermissionDenied("no"), NotFound("none")):
            self.assertIs(outage.of(error), error)
        self.assertEqual(outage.told, 0)
