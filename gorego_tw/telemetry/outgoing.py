"""Calls that go out: each a span of its own, and the peer is told of which trace it is a part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gorego_tw.errors import Code, StatusError
from gorego_tw.forwarding import Metadata
from gorego_tw.telemetry.current import begin
from gorego_tw.telemetry.span import NO_FAILURE, UPSTREAM, Span


class OutgoingCall:
    """One try of one call.

    :param span: of it; None where nothing is recorded.
    """

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def metadata(self, given: Metadata) -> Metadata:
        """``given``, and what tells the peer of the trace."""
        if self._span is None:
            return given
        told = self._span.root.recorder.outgoing(self._span)
        names = {name for name, _ in told}
        return (*told, *(pair for pair in given if pair[0] not in names))


@contextmanager
def outgoing_call(path: str) -> Iterator[OutgoingCall]:
    """The block in which the call is made, in a coroutine or in a generator.

    Its span is not the current one, which in a generator would be that of whoever reads from it.

    :param path: ``/package.Service/Method``, or the method and the path of a plain HTTP request.
    """
    span = begin(path.lstrip("/"))
    if span is None:
        yield OutgoingCall(None)
        return
    span.own.kind = "client"
    service, _, method = span.name.partition("/")
    is_grpc = " " not in service
    if is_grpc:
        span.set("rpc.system", "grpc")
        span.set("rpc.service", service)
        span.set("rpc.method", method)
    code = Code.OK
    try:
        yield OutgoingCall(span)
    except BaseException as error:
        code = error.code if isinstance(error, StatusError) else Code.CANCELLED
        span.own.error = "" if isinstance(error, NO_FAILURE) else str(error)
        raise
    finally:
        if is_grpc:
            span.set("rpc.grpc.status_code", int(code))
        span.spend(UPSTREAM, span.seconds)
        span.end()
