"""Tests of gorego_tw.telemetry.delivery."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.delivery import Delivery
from tests.telemetry.exporters import FakeExporter

SPANS = [ReadableSpan("a"), ReadableSpan("b")]


class DeliveryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.collector = FakeExporter()
        self.pauses: list[float] = []
        self.reason = "no host"
        self.delivery = Delivery(
            self.collector,
            "http://collector:4317",
            lambda: self.reason,
            self.pauses.append,
            self.clock.seconds,
        )

    def deliver(self, times: int = 1) -> SpanExportResult:
        """Deliver two spans, so often."""
        return [self.delivery.export(SPANS) for _ in range(times)][-1]

    def counts(self) -> tuple[int, int]:
        """How many were delivered, and how many lost."""
        return self.delivery.delivered, self.delivery.lost

    def words(self, events: Sequence[LogEvent]) -> list[str]:
        """What the log says: level and message."""
        return [f"{event['log_level'].name} {formatEvent(event)}" for event in events]

    def test_delivered(self) -> None:
        """Spans reach the collector, and are counted."""
        self.assertIs(self.deliver(), SpanExportResult.SUCCESS)
        self.assertEqual(self.collector.spans, SPANS)
        self.assertEqual(self.counts(), (2, 0))

    def test_rests(self) -> None:
        """After each batch it rests, for longer than that took."""
        self.deliver(3)
        self.assertEqual(len(self.pauses), 3)
        self.assertTrue(all(pause > 0 for pause in self.pauses))

    def test_refused(self) -> None:
        """That the collector takes none is told once, however many are lost, and once when it does again."""
        self.collector.refuses = True
        with capturedLogs() as events:
            self.assertIs(self.deliver(100), SpanExportResult.FAILURE)
            self.collector.refuses = False
            self.deliver(100)
        self.assertEqual(
            self.words(events),
            [
                "warn the collector http://collector:4317 does not take spans; they are dropped until it does: no host",
                "info spans reach the collector http://collector:4317 again",
            ],
        )
        self.assertEqual(self.counts(), (200, 200))

    def test_again(self) -> None:
        """When it begins again, it is told again."""
        with capturedLogs() as events:
            for refuses in (True, False, True, True):
                self.collector.refuses = refuses
                self.deliver()
        self.assertEqual([event["log_level"].name for event in events], ["warn", "info", "warn"])

    def test_raises(self) -> None:
        """An exporter that breaks loses its spans and no more: what comes later is tried as ever."""
        self.collector.raises = ValueError("broken")
        with capturedLogs() as events:
            self.assertIs(self.deliver(100), SpanExportResult.FAILURE)
        self.assertEqual([event["log_level"].name for event in events], ["critical", "warn"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.collector.raises = None
        self.deliver()
        self.assertEqual(self.counts(), (2, 200))

    def test_hurry(self) -> None:
        """At the end it rests no more, and gives up when its time has passed."""
        self.delivery.hurry(5)
        self.deliver()
        self.clock.advance(4)
        self.deliver()
        self.clock.advance(1)
        self.assertIs(self.deliver(10), SpanExportResult.FAILURE)
        self.assertEqual(self.pauses, [])
        self.assertEqual(self.collector.tries, 2)
        self.assertEqual(self.counts(), (4, 20))

    def test_shutdown(self) -> None:
        """The exporter is told of the end."""
        self.assertTrue(self.delivery.force_flush())
        self.delivery.shutdown()
        self.assertTrue(self.collector.is_shut)
