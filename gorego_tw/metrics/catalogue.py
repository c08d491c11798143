"""All metrics of a daemon."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import CollectorRegistry

from gorego_tw.backing import Backing
from gorego_tw.certificates import Certificates
from gorego_tw.eviction.janitor import Janitor
from gorego_tw.grpc.factory import GRPCFactory
from gorego_tw.metrics.backing import observe_backing
from gorego_tw.metrics.compression import observe_compression
from gorego_tw.metrics.corruption import observe_corruption
from gorego_tw.metrics.local_tier import observe_tier
from gorego_tw.metrics.process import (
    observe_certificates,
    observe_export,
    observe_log,
    observe_process,
)
from gorego_tw.metrics.reuse import observe_reuse
from gorego_tw.metrics.server import observe_server
from gorego_tw.reuse.sketch import Sketch
from gorego_tw.storage.compressing import Compressing
from gorego_tw.storage.tier import LocalTier
from gorego_tw.telemetry.export import SpanExport
from gorego_tw.telemetry.log import Log
from gorego_tw.telemetry.observed import Observed
from gorego_tw.telemetry.reactor_lag import ReactorLag
from gorego_tw.telemetry.registry import make_registry
from gorego_tw.telemetry.tallies import Tallies
from gorego_tw.tracing.threads import TracedThreads


class Counting(NamedTuple):
    """The parts of a daemon that count; those that may be None are not in every daemon."""

    tallies: Tallies
    server: GRPCFactory
    tier: LocalTier
    janitor: Janitor
    compressing: Compressing | None
    backing: Backing | None
    threads: TracedThreads
    lag: ReactorLag
    certificates: Certificates
    log: Log
    export: SpanExport | None
    sketch: Sketch


def catalogue(parts: Counting) -> CollectorRegistry:
    """A registry of what all of them have counted."""
    registry = make_registry()
    registry.register(parts.tallies)
    observed = Observed(registry, parts.tier.clock)
    observe_server(observed, parts.server)
    observe_tier(observed, parts.tier, parts.janitor)
    observe_reuse(observed, parts.sketch)
    observe_corruption(observed, parts.tier, parts.backing)
    if parts.compressing is not None:
        observe_compression(observed, parts.compressing)
    if parts.backing is not None:
        observe_backing(observed, parts.backing, parts.tallies)
    observe_process(observed, parts.lag, parts.threads)
    observe_certificates(observed, parts.certificates)
    observe_log(observed, parts.log)
    if parts.export is not None:
        observe_export(observed, parts.export)
    return registry
