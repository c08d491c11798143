"""Tests of gorego_tw.metrics.process."""

from __future__ import annotations

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw import __version__
from gorego_tw.certificates import Certificates
from gorego_tw.metrics.process import (
    observe_certificates,
    observe_export,
    observe_log,
    observe_process,
)
from gorego_tw.storage.disk_threads import HeldDiskThreads, NoDiskThreads
from gorego_tw.telemetry.export import SpanExport
from gorego_tw.telemetry.log import Log
from gorego_tw.telemetry.observed import Observed
from gorego_tw.telemetry.reactor_lag import ReactorLag
from gorego_tw.tracing.threads import TracedThreads
from tests.metrics.reading import value
from tests.telemetry.recording import Recording


class ProcessMetricsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.registry = CollectorRegistry()
        self.clock = Clock()
        self.observed = Observed(self.registry, self.clock)

    def value(self, name: str, *labels: str) -> float:
        """What a metric says."""
        return value(self.registry, f"gorego_{name}", *labels)

    def test_process(self) -> None:
        """Versions, the lag of the reactor, and what waits for threads or is in them."""
        lag, held = ReactorLag(self.clock), HeldDiskThreads()
        threads = TracedThreads(held, self.clock.seconds)
        observe_process(self.observed, lag, threads)
        lag.startService()
        self.clock.advance(1)
        self.assertEqual(self.value("build_info", __version__), 1)
        self.assertEqual(self.value("reactor_lag_seconds_count"), 1)
        waiting = threads.run(self.clock.advance, 2)
        self.assertEqual(self.value("disk_threads_queued"), 1)
        self.assertEqual(self.value("disk_threads_busy"), 0)
        self.clock.advance(3)
        held.release()
        self.successResultOf(waiting)
        self.assertEqual(self.value("disk_threads_queued"), 0)
        self.assertEqual(self.value("disk_threads_wait_seconds_sum"), 3)

    def test_left_out(self) -> None:
        """Metrics that cannot be read are counted."""
        observe_process(
            self.observed, ReactorLag(self.clock), TracedThreads(NoDiskThreads(), lambda: 0)
        )
        self.observed.left_out = 3
        self.assertEqual(self.value("metrics_left_out_total"), 3)

    def test_certificates(self) -> None:
        """A certificate has the time until which it is valid."""
        certificates = Certificates({}, NoDiskThreads(), self.clock)
        observe_certificates(self.observed, certificates)
        certificates.expiry["tls.cert_file"] = 77.0
        self.assertEqual(self.value("certificate_expiry_timestamp_seconds", "tls.cert_file"), 77)

    def test_log(self) -> None:
        """Lines of the log are counted by level."""
        log = Log()
        observe_log(self.observed, log)
        log.written[LogLevel.warn] += 3
        self.assertEqual(self.value("log_events_total", "warn"), 3)
        self.assertEqual(self.value("log_events_total", "error"), 0)

    def test_export(self) -> None:
        """Spans are counted by what became of them."""
        export = SpanExport(
            InMemorySpanExporter,
            Resource({}),
            InstrumentationScope("test"),
            "http://collector:4317",
            NoDiskThreads().run,
        )
        observe_export(self.observed, export)
        self.assertFalse(export.has_room_for(Recording().root()))  # it has not started
        self.assertEqual(self.value("spans_total", "dropped"), 1)
        self.assertEqual(self.value("spans_total", "delivered"), 0)
        self.assertEqual(self.value("spans_waiting"), 0)
