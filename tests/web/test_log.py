"""/debug/log"""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from gorego_tw.logging_controls import AccessLogControl, LevelControl
from gorego_tw.telemetry.access_log import AccessLog
from gorego_tw.telemetry.log import Log
from gorego_tw.web.log import LogPage
from tests.telemetry.recording import Recording, describe
from tests.web.requests import body, get


class LogPageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.log = Log()
        self.addCleanup(setattr, self.log, "level", "info")
        self.tracing = Recording()
        access_log = AccessLog(0, describe, lambda: 0.5)
        self.page = LogPage(
            {
                "level": LevelControl(self.log),
                "access_log_ratio": AccessLogControl(self.tracing, access_log),
            }
        )

    def put(self, **values: str) -> DummyRequest:
        """Change something."""
        request = DummyRequest([])
        request.method = b"PUT"
        request.args = {name.encode(): [value.encode()] for name, value in values.items()}
        request.render(self.page)
        return request

    def test_shown(self) -> None:
        """The page has the values that are in effect."""
        values = json.loads(body(get(self.page)))
        self.assertEqual(values, {"level": "info", "access_log_ratio": 0})

    def test_level(self) -> None:
        """The level is changed at once, and the page says so."""
        self.assertEqual(json.loads(body(self.put(level="debug")))["level"], "debug")
        self.assertEqual(self.log.level, "debug")

    def test_access_log(self) -> None:
        """The access log is switched on and off."""
        self.put(access_log_ratio="0.25")
        self.assertIsNotNone(self.tracing.log_access)
        self.put(access_log_ratio="0")
        self.assertIsNone(self.tracing.log_access)

    def test_refused(self) -> None:
        """A name or a value that is none changes nothing, and the answer says what is allowed."""
        for values, allowed in (
            ({"level": "loud"}, "level: 'loud'; allowed: debug, info, warn, error"),
            ({"level": "debug", "access_log_ratio": "2"}, "allowed: a number from 0 (none) to 1"),
            ({"access_log_ratio": "nan"}, "allowed: a number from 0 (none) to 1"),
            ({"colour": "red"}, "colour: not known; allowed: level, access_log_ratio"),
        ):
            request = self.put(**values)
            self.assertEqual(request.responseCode, 400)
            self.assertIn(allowed, body(request).decode())
            self.assertEqual(self.log.level, "info")
