"""Tests of gorego_tw.telemetry.log."""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path

from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase
from txaio.tx import make_logger
from zope.interface.verify import verifyObject

from gorego_tw.telemetry.log import LEVELS, OBSERVER_NAME, Log


class Terminal(StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class LogTestCase(SynchronousTestCase):
    """A log that writes to ``out``."""

    def setUp(self) -> None:
        self.out = StringIO()
        self.log = Log()
        self.addCleanup(setattr, Log(), "level", "info")

    def logger(self, level: str = "info", namespace: str = "gorego_tw.x") -> Logger:
        """Somebody who logs there."""
        self.patch(sys, "stderr", self.out)
        self.log.level = LEVELS[LEVELS.index(level)]
        return Logger(namespace, observer=self.log.open())


class LevelTests(LogTestCase):
    def test_role(self) -> None:
        """It is an observer."""
        verifyObject(ILogObserver, self.log)

    def test_levels(self) -> None:
        """Events below the level are left out."""
        for level, lines in (("debug", 4), ("info", 3), ("warn", 2), ("error", 1)):
            self.out = StringIO()
            log = self.logger(level)
            log.debug("a")
            log.info("b")
            log.warn("c")
            log.error("d")
            self.assertEqual(self.out.getvalue().count("\n"), lines)

    def test_changed(self) -> None:
        """The level can be changed at any time, for what is made by txaio too."""
        observer = self.logger("info").observer
        ours = make_logger(observer=observer)
        ours.debug("not yet")
        self.log.level = "debug"
        ours.debug("now")
        self.log.level = "error"
        ours.warn("no more")
        self.assertEqual(
            [json.loads(line)["message"] for line in self.out.getvalue().splitlines()], ["now"]
        )

    def test_twisted_is_quiet(self) -> None:
        """Of Twisted only warnings and errors are shown, unless errors alone are asked for."""
        log = self.logger("info", "twisted.internet")
        log.info("starting")
        self.assertEqual(self.out.getvalue(), "")
        log.warn("odd")
        self.assertIn("odd", self.out.getvalue())
        self.out = StringIO()
        self.logger("error", "twisted.internet").warn("odd")
        self.assertEqual(self.out.getvalue(), "")

    def test_counted(self) -> None:
        """Lines are counted by level; what is left out is not."""
        log = self.logger("warn")
        log.info("a")
        log.warn("b")
        log.warn("")
        self.assertEqual(self.log.counts()["warn"], 1)
        self.assertEqual(self.log.counts()["info"], 0)
        self.assertEqual(len(self.log.counts()), len(list(LogLevel.iterconstants())))


class OpenTests(LogTestCase):
    def test_twistd_finds_it(self) -> None:
        """The name that twistd is given leads to what makes an observer."""
        verifyObject(ILogObserver, namedAny(OBSERVER_NAME)())

    def test_standard_error(self) -> None:
        """Without a file, or with ``-``, the log goes to standard error, as JSON."""
        for file in (None, "-"):
            self.out = StringIO()
            self.log.file = file
            self.logger().info("hello")
            self.assertEqual(json.loads(self.out.getvalue())["message"], "hello")

    def test_terminal(self) -> None:
        """On a terminal it is text, unless JSON is asked for."""
        self.out = Terminal()
        self.logger().info("hello")
        self.assertIn("info [gorego_tw.x] hello\n", self.out.getvalue())
        self.out = Terminal()
        self.log.form = "json"
        self.logger().info("hello")
        self.assertEqual(json.loads(self.out.getvalue())["message"], "hello")

    def test_text(self) -> None:
        """Text can be asked for anywhere."""
        self.log.form = "text"
        self.logger().info("hello")
        self.assertIn("info [gorego_tw.x] hello\n", self.out.getvalue())

    def test_file(self) -> None:
        """With a file it goes there."""
        self.log.file = self.mktemp()
        Path(self.log.file).parent.mkdir(exist_ok=True)
        self.logger().info("hello")
        self.assertIn("hello", Path(self.log.file).read_text(encoding="utf-8"))
