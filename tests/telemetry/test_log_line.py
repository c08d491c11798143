"""Tests of gorego_tw.telemetry.log_line."""

from __future__ import annotations

import json
from typing import Any, cast

from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.log_line import json_line, text_line
from tests.telemetry.recording import Recording


class LineTestCase(SynchronousTestCase):
    """Somebody logs, and the last event is kept."""

    def setUp(self) -> None:
        self.event: LogEvent = {}
        self.log = Logger("gorego_tw.x", observer=cast(ILogObserver, self.keep))

    def keep(self, event: LogEvent) -> None:
        """The last event."""
        self.event = event

    def within_span(self) -> tuple[str, str]:
        """A span is current from now on; the numbers of its trace and its own."""
        span = Recording().root()
        current.set(span)
        self.addCleanup(current.set, None)
        context = span.context
        return format(context.trace_id, "032x"), format(context.span_id, "016x")


class TextTests(LineTestCase):
    def test_line(self) -> None:
        """An event is one line: time, level, namespace, message."""
        self.log.warn("{count} blobs", count=3)
        self.assertRegex(
            text_line(self.event) or "",
            r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} warn \[gorego_tw\.x\] 3 blobs\n$",
        )

    def test_span(self) -> None:
        """Within a span it ends with the numbers of the trace and of the span."""
        trace_id, span_id = self.within_span()
        self.log.info("hello")
        line = text_line(self.event) or ""
        self.assertTrue(line.endswith(f"hello trace_id={trace_id} span_id={span_id}\n"), line)

    def test_without_words(self) -> None:
        """An event that says nothing makes no line."""
        self.log.info("")
        self.assertIsNone(text_line(self.event))

    def test_failure(self) -> None:
        """A failure has its traceback below the line."""
        self.log.failure("it broke", Failure(ValueError("boom")))
        line = text_line(self.event) or ""
        self.assertIn("critical [gorego_tw.x] it broke\n", line)
        self.assertIn("ValueError: boom", line)


class JSONTests(LineTestCase):
    def told(self) -> dict[str, Any]:
        """The line of the last event."""
        line = json_line(self.event)
        assert line is not None
        self.assertEqual(line.count("\n"), 1)
        told: dict[str, Any] = json.loads(line)
        return told

    def test_line(self) -> None:
        """An event is an object of time, level, logger, message and the caller's own fields."""
        self.log.warn("{count} blobs in {place}", count=3, place=("a", 1), ratio=0.5)
        told = self.told()
        self.assertRegex(told.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(
            told,
            {
                "level": "warn",
                "logger": "gorego_tw.x",
                "message": "3 blobs in ('a', 1)",
                "count": 3,
                "place": "('a', 1)",
                "ratio": 0.5,
            },
        )

    def test_span(self) -> None:
        """Within a span it has the numbers of the trace and of the span."""
        ids = self.within_span()
        self.log.info("hello")
        told = self.told()
        self.assertEqual((told["trace_id"], told["span_id"]), ids)

    def test_no_span(self) -> None:
        """Outside of a span it has none."""
        self.log.info("hello")
        self.assertNotIn("trace_id", self.told())

    def test_failure(self) -> None:
        """A failure has its traceback in a field of its own."""
        self.log.failure("it\nbroke", Failure(ValueError("boom")))
        told = self.told()
        self.assertEqual((told["level"], told["message"]), ("critical", "it\nbroke"))
        self.assertIn("ValueError: boom", told["traceback"])

    def test_failure_without_words(self) -> None:
        """A failure about which nothing is said speaks for itself."""
        self.log.emit(self.log_level(), None, log_failure=Failure(ValueError("boom")))
        self.assertEqual(self.told()["message"], "boom")

    def test_fields_take_no_place(self) -> None:
        """A field cannot pass itself off for the trace or the logger."""
        ids = self.within_span()
        self.log.info("hello", trace_id="0", logger="else")
        told = self.told()
        self.assertEqual((told["trace_id"], told["logger"]), (ids[0], "gorego_tw.x"))

    def test_without_words(self) -> None:
        """An event that says nothing makes no line."""
        self.log.info("")
        self.assertIsNone(json_line(self.event))

    def log_level(self) -> Any:
        """The level of an error."""
        self.log.error("x")
        return self.event["log_level"]
