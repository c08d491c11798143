"""The metrics of the process: what it is, and what everything in it may have to wait for."""

from __future__ import annotations

import platform

import twisted
from gorego_tw import __version__
from gorego_tw.certificates import Certificates
from gorego_tw.telemetry.export import SpanExport
from gorego_tw.telemetry.log import Log
from gorego_tw.telemetry.observed import Observed
from gorego_tw.telemetry.reactor_lag import ReactorLag
from gorego_tw.tracing.threads import TracedThreads


def observe_process(observed: Observed, lag: ReactorLag, threads: TracedThreads) -> None:
    """Let it be seen."""
    build = (__version__, platform.python_version(), twisted.__version__)
    observed.gauges(
        "gorego_build_info",
        "1 for the versions that run",
        ("version", "python", "twisted"),
        lambda: {build: 1},
    )
    observed.histogram(
        "gorego_reactor_lag_seconds",
        "How late timers are, which is how long everything else has to wait for the reactor",
        lag.lateness,
    )
    observed.gauge(
        "gorego_disk_threads_queued",
        "Reads, writes and hashes that wait for a thread",
        lambda: threads.queued,
    )
    observed.gauge(
        "gorego_disk_threads_busy",
        "Reads, writes and hashes that are in a thread",
        lambda: threads.busy,
    )
    observed.histogram(
        "gorego_disk_threads_wait_seconds",
        "How long reads, writes and hashes waited for a thread",
        threads.waited,
    )
    observed.counter(
        "gorego_metrics_left_out_total",
        "How often a metric was left out because it could not be read",
        lambda: observed.left_out,
    )


def observe_certificates(observed: Observed, certificates: Certificates) -> None:
    """Let be seen when they have to be renewed."""
    observed.gauges(
        "gorego_certificate_expiry_timestamp_seconds",
        "When the first certificate of the file that is configured there is no longer valid",
        ("certificate",),
        lambda: {(key,): seconds for key, seconds in certificates.expiry.items()},
    )


def observe_log(observed: Observed, log: Log) -> None:
    """Let be seen how much there is to read."""
    observed.counters(
        "gorego_log_events_total",
        "Lines of the log",
        ("level",),
        lambda: {(level,): count for level, count in log.counts().items()},
    )


def observe_export(observed: Observed, export: SpanExport) -> None:
    """Let be seen what becomes of spans."""
    observed.counter(
        "gorego_spans_total",
        "Spans for the collector: delivered, lost since it did not take them, dropped since too many waited",
        {
            "delivered": lambda: export.delivered,
            "lost": lambda: export.lost,
            "dropped": lambda: export.dropped,
        },
        "outcome",
    )
    observed.gauge(
        "gorego_spans_waiting", "Spans that have still to be delivered", lambda: export.waiting
    )
