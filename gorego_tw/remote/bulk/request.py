"""The headers of a call (gRPC over HTTP/2, "Requests")."""

from __future__ import annotations

from base64 import b64encode

from gorego_tw.forwarding import Metadata
from gorego_tw.http2 import hpack
from gorego_tw.http2.header_rules import Field

_FIXED: tuple[Field, ...] = (
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"gorego"),
)


def header_block(path: str, authority: str, metadata: Metadata) -> bytes:
    """The block of a call over a plain connection."""
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", authority.encode()),
        *_FIXED,
        *((name.encode(), _value(value)) for name, value in metadata),
    ]
    return hpack.encode(fields)


def _value(value: str | bytes) -> bytes:
    """As it is sent: what is binary as base64, without padding."""
    return value.encode("ascii") if isinstance(value, str) else b64encode(value).rstrip(b"=")
