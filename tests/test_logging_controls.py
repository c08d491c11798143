"""Tests of gorego_tw.logging_controls."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.logging_controls import AccessLogControl, LevelControl
from gorego_tw.telemetry.access_log import AccessLog
from gorego_tw.telemetry.log import Log
from tests.telemetry.recording import Recording, describe


class LevelControlTests(SynchronousTestCase):
    def setUp(self) -> None:
        # The level is that of the whole process.
        log = Log()
        self.addCleanup(setattr, log, "level", log.level)

    def test_set(self) -> None:
        """The level is what it was set to last."""
        log = Log()
        control = LevelControl(log)
        self.addCleanup(control.set, control.get())  # the level is that of all tests after this
        for level in ("debug", "error"):
            control.set(level)
            self.assertEqual((control.get(), log.level), (level, level))

    def test_no_level(self) -> None:
        """What is no level changes nothing."""
        log = Log()
        before = log.level
        self.assertRaises(ValueError, LevelControl(log).set, "loud")
        self.assertEqual(log.level, before)


class AccessLogControlTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.log = AccessLog(0.0, describe, lambda: 0.5)
        self.control = AccessLogControl(self.recording, self.log)

    def test_on_and_off(self) -> None:
        """The log is told of calls as long as it writes of any."""
        self.control.set("0.25")
        self.assertEqual((self.control.get(), self.recording.log_access), (0.25, self.log))
        self.control.set("0")
        self.assertEqual((self.control.get(), self.recording.log_access), (0, None))

    def test_no_ratio(self) -> None:
        """What is no number from 0 to 1 changes nothing."""
        for text in ("-0.1", "1.01", "nan", "much"):
            self.assertRaises(ValueError, self.control.set, text)
        self.assertEqual((self.control.get(), self.recording.log_access), (0, None))
