"""A call's request headers, understood once per header block."""

from __future__ import annotations

from typing import NamedTuple

from gorego_tw.errors import StatusError, Unimplemented
from gorego_tw.grpc.framing import checked_encoding
from gorego_tw.grpc.metadata import parse_timeout
from gorego_tw.grpc.router import Method, Router
from gorego_tw.grpc.traffic import MethodTraffic
from gorego_tw.http2.headers import Headers


class RequestHead(NamedTuple):
    """What the transport needs of the headers of a call."""

    method: Method
    timeout: float | None  # seconds
    encoding: str
    shared: dict[object, object]  # what services derive from the headers
    traffic: MethodTraffic


class PlainRequest(NamedTuple):
    """A request that is HTTP but not gRPC, and the HTTP status that says so."""

    status: int
    message: str


class RefusedCall(NamedTuple):
    """A call that fails by its headers alone."""

    error: StatusError
    traffic: MethodTraffic


def read_head(headers: Headers, router: Router) -> RequestHead | PlainRequest | RefusedCall:
    """What ``headers`` ask for (PROTOCOL-HTTP2.md, Requests)."""
    if headers.method != b"POST":
        return PlainRequest(405, "this port speaks gRPC, which is POST")
    content_type = headers.get(b"content-type") or b""
    if not content_type.startswith(b"application/grpc"):
        return PlainRequest(415, "this port speaks gRPC: content-type application/grpc")
    method = router.find(headers.path)
    if method is None:
        path = headers.path.decode("utf-8", "replace")
        return RefusedCall(Unimplemented(f"no method {path[:200]} here"), router.traffic.unknown)
    traffic = router.traffic.of(headers.path.decode())
    try:
        timeout = headers.get(b"grpc-timeout")
        encoding = headers.get(b"grpc-encoding")
        return RequestHead(
            method,
            None if timeout is None else parse_timeout(timeout),
            checked_encoding(None if encoding is None else encoding.decode("latin-1")),
            {},
            traffic,
        )
    except StatusError as error:
        return RefusedCall(error, traffic)
