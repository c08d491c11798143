"""From ``telemetry.*`` to what records requests, and to where the records go."""

from __future__ import annotations

import os
from random import random
from socket import gethostname
from uuid import uuid4

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gorego_tw import __version__
from gorego_tw.concurrency import Periodic
from gorego_tw.config import Configuration
from gorego_tw.reapi.facts import facts, invocation_of
from gorego_tw.settings import Telemetry
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.telemetry.access_log import AccessLog
from gorego_tw.telemetry.export import SpanExport
from gorego_tw.telemetry.tracing import Tracing

#: How often it is looked for builds that have ended, in seconds.
_LOOK_SECONDS = 5.0

#: How long the collector has for one batch, in seconds.
_DELIVERY_SECONDS = 5


def make_tracing(configuration: Configuration) -> Tracing:
    """What records all requests."""
    telemetry = configuration.settings.telemetry
    return Tracing(
        telemetry.propagators,
        telemetry.sampling_ratio,
        invocation_of=invocation_of,
        describe=facts,
    )


def make_access_log(configuration: Configuration, tracing: Tracing) -> AccessLog:
    """A line for each call, or for some, or none."""
    ratio = configuration.settings.telemetry.access_log_ratio
    access_log = AccessLog(ratio, facts, random)
    if ratio:
        tracing.log_access = access_log
    return access_log


def make_export(configuration: Configuration, threads: DiskThreads) -> SpanExport | None:
    """Where sampled requests go, if anywhere."""
    telemetry = configuration.settings.telemetry
    if not telemetry.tracing_endpoint:
        return None
    return SpanExport(
        lambda: _exporter(telemetry),
        _resource(),
        _scope(),
        address=telemetry.tracing_endpoint,
        in_thread=threads.run,
    )


class Invocations(Periodic):
    """Ends the spans of builds that have gone silent, and of all when the daemon ends."""

    def __init__(self, tracing: Tracing, clock: IReactorTime) -> None:
        super().__init__("invocations", self._look, _LOOK_SECONDS, clock)
        self._invocations = tracing.invocations

    def stopService(self) -> Deferred[object]:
        """No call will come."""
        self._invocations.end_all()
        return super().stopService()

    async def _look(self) -> None:
        self._invocations.look()


def _exporter(telemetry: Telemetry) -> SpanExporter:
    endpoint = telemetry.tracing_endpoint
    if "://" not in endpoint:
        endpoint = f"http://{endpoint}"
    return OTLPSpanExporter(endpoint=endpoint, timeout=_DELIVERY_SECONDS)


def _scope() -> InstrumentationScope:
    return InstrumentationScope("gorego", __version__)


def _resource() -> Resource:
    """Who we are; what OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say goes before."""
    own = {
        "service.name": "gorego",
        "service.version": __version__,
        "service.instance.id": str(uuid4()),
        "host.name": gethostname(),
    }
    told = Resource.create().attributes
    if "OTEL_SERVICE_NAME" not in os.environ and "service.name=" not in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    ):
        told = {key: value for key, value in told.items() if key != "service.name"}
    return Resource({**own, **told})
