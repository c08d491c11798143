"""Tests of gorego_tw.telemetry.standard_logging."""

from __future__ import annotations

import logging
from typing import cast

from twisted.logger import ILogObserver, LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.standard_logging import StandardLogging, StandardLoggingService


class StandardLoggingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.events: list[LogEvent] = []
        self.logger = logging.getLogger("a.library")
        self.logger.setLevel(logging.DEBUG)
        self.logger.propagate = False
        handler = StandardLogging(cast(ILogObserver, self.events.append))
        self.logger.addHandler(handler)
        self.addCleanup(self.logger.removeHandler, handler)
        self.addCleanup(setattr, self.logger, "propagate", True)
        self.addCleanup(self.logger.setLevel, logging.NOTSET)

    def test_levels(self) -> None:
        """A record is an event of the same level under the name of its logger."""
        for level, name in (
            (logging.DEBUG, "debug"),
            (logging.INFO, "info"),
            (logging.WARNING, "warn"),
            (logging.ERROR, "error"),
            (logging.CRITICAL, "critical"),
        ):
            self.logger.log(level, "%d things {not a field}", 3)
            event = self.events.pop()
            self.assertEqual(event["log_level"].name, name)
            self.assertEqual(event["log_namespace"], "a.library")
            self.assertEqual(formatEvent(event), "3 things {not a field}")

    def test_exception(self) -> None:
        """An exception is the event's failure."""
        try:
            int("boom")
        except ValueError:
            self.logger.exception("it broke")
        (event,) = self.events
        self.assertIn("boom", event["log_failure"].getErrorMessage())

    def test_mistaken_record(self) -> None:
        """A record whose arguments do not fit its words is told all the same."""
        self.logger.warning("%d things", "three")
        self.assertIn("three", formatEvent(self.events[0]))


class StandardLoggingServiceTests(SynchronousTestCase):
    def test_while_it_runs(self) -> None:
        """Records of any library are passed on from the start to the stop."""
        root = logging.getLogger()
        self.addCleanup(root.setLevel, root.level)
        service = StandardLoggingService()
        service.startService()
        with capturedLogs() as events:
            logging.getLogger("b").info("during")
            service.stopService()
            logging.getLogger("b").info("after")
        self.assertEqual([formatEvent(event) for event in events], ["during"])
