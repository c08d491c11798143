"""A collector of traces under the test's control: OTLP over gRPC, on a real server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as services
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.end_to_end.daemon import eventually


class Collector(services.TraceServiceServicer):
    """Keeps the spans that it is sent.

    :ivar hold: set it to let calls hang until it is unset.
    """

    def __init__(self, port: int = 0) -> None:
        self.hold = threading.Event()
        self.refuse = False
        self.calls = 0
        self._lock = threading.Lock()
        self._spans: list[tuple[dict[str, str], Span]] = []
        self._server = grpc.server(ThreadPoolExecutor(4))
        services.add_TraceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop."""
        self._server.stop(0).wait()

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Take spans."""
        self.calls += 1
        while self.hold.is_set() and context.is_active():
            threading.Event().wait(0.05)
        if self.refuse:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")
        with self._lock:
            for resource in request.resource_spans:
                process = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_spans:
                    self._spans += [(process, span) for span in scope.spans]
        return otlp.ExportTraceServiceResponse()

    @property
    def spans(self) -> list[Span]:
        """All spans so far."""
        with self._lock:
            return [span for _, span in self._spans]

    def instances(self, spans: Iterable[Span]) -> set[str]:
        """Which processes have sent them."""
        return {process["service.instance.id"] for process in self.processes(spans)}

    def processes(self, spans: Iterable[Span]) -> list[dict[str, str]]:
        """What those who have sent them say of themselves, for each span."""
        ids = {span.span_id for span in spans}
        with self._lock:
            return [process for process, span in self._spans if span.span_id in ids]

    def of_trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace_id.hex() == trace_id]

    def wait_for(self, found: Callable[[list[Span]], object], what: str) -> None:
        """Wait until the spans so far satisfy ``found``."""
        eventually(lambda: found(self.spans), f"{what}; there are {self.names()}", 20)

    def names(self) -> list[str]:
        """What the spans are called."""
        return sorted(span.name for span in self.spans)


def attributes(span: Span) -> dict[str, object]:
    """The attributes of a span."""
    told: dict[str, object] = {}
    for attribute in span.attributes:
        kind = attribute.value.WhichOneof("value")
        assert kind is not None
        told[attribute.key] = getattr(attribute.value, kind)
    return told
