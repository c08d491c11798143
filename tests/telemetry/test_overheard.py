"""Tests of gorego_tw.telemetry.overheard."""

from __future__ import annotations

import logging

import grpc
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.overheard import Overheard


class OverheardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.name = self.id()
        self.logger = logging.getLogger(self.name)
        self.overheard = Overheard(self.name)

    def test_kept(self) -> None:
        """What a call failed with is kept alone, anything else in the words of the library; nobody hears it."""
        self.overheard.begin()
        self.addCleanup(self.overheard.end)
        with self.assertNoLogs():
            self.logger.warning("it may pass")
            self.assertEqual(self.overheard.last, "")
            code = grpc.StatusCode.UNAVAILABLE
            self.logger.error("%s to %s, %s, %s", "Failed", "host:1", code, "no such host")
            self.assertEqual(self.overheard.last, "UNAVAILABLE: no such host")
            self.logger.error("%s was lost", "it")
            self.assertEqual(self.overheard.last, "it was lost")

    def test_end(self) -> None:
        """Afterwards nothing is kept, nor heard."""
        self.overheard.begin()
        self.overheard.end()
        with self.assertNoLogs():
            self.logger.error("lost")
        self.assertEqual(self.overheard.last, "")
