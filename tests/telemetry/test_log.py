"""The log."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.telemetry.log import FACTORY_NAME, ObserverFactory, filtered_observer


class FilteredObserverTests(SynchronousTestCase):
    def logger(self, level: str, namespace: str = "gorego_tw.x") -> Logger:
        self.out = StringIO()
        observer = filtered_observer(self.out, level)
        verifyObject(ILogObserver, observer)
        return Logger(namespace, observer=observer)

    def test_a_line(self) -> None:
        """An event is one line: time, level, namespace, message."""
        self.logger("info").warn("{count} blobs", count=3)
        self.assertRegex(
            self.out.getvalue(),
            r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} warn \[gorego_tw\.x\] 3 blobs\n$",
        )

    def test_levels(self) -> None:
        """Events below the level are left out."""
        for level, lines in (("debug", 4), ("info", 3), ("warn", 2), ("error", 1)):
            log = self.logger(level)
            log.debug("a")
            log.info("b")
            log.warn("c")
            log.error("d")
            self.assertEqual(self.out.getvalue().count("\n"), lines)

    def test_twisted_is_quiet(self) -> None:
        """Of Twisted only warnings and errors are shown, unless errors alone are asked for."""
        log = self.logger("info", "twisted.internet")
        log.info("starting")
        self.assertEqual(self.out.getvalue(), "")
        log.warn("odd")
        self.assertIn("odd", self.out.getvalue())
        self.logger("error", "twisted.internet").warn("odd")
        self.assertEqual(self.out.getvalue(), "")

    def test_events_without_words(self) -> None:
        """An event that says nothing makes no line."""
        self.logger("info").info("")
        self.assertEqual(self.out.getvalue(), "")

    def test_failures(self) -> None:
        """A failure has its traceback below the line."""
        self.logger("info").failure("it broke", Failure(ValueError("boom")))
        self.assertIn("critical [gorego_tw.x] it broke\n", self.out.getvalue())
        self.assertIn("ValueError: boom", self.out.getvalue())


class ObserverFactoryTests(SynchronousTestCase):
    def test_twistd_finds_it(self) -> None:
        """The name that twistd is given leads to a factory."""
        self.assertIsInstance(namedAny(FACTORY_NAME), ObserverFactory)

    def test_standard_output(self) -> None:
        """Without a file, or with ``-``, the log goes to standard output."""
        for file in (None, "-"):
            out = StringIO()
            self.patch(sys, "stdout", out)
            factory = ObserverFactory()
            factory.file = file
            Logger("x", observer=factory()).info("hello")
            self.assertIn("hello", out.getvalue())

    def test_a_file(self) -> None:
        """With a file it goes there."""
        factory = ObserverFactory()
        factory.file = self.mktemp()
        Path(factory.file).parent.mkdir(exist_ok=True)
        Logger("x", observer=factory()).info("hello")
        self.assertIn("hello", Path(factory.file).read_text(encoding="utf-8"))
