"""How a call's end is written: response headers, trailers, trailers-only, percent-encoding."""

from __future__ import annotations

from base64 import b64encode

from google.rpc import status_pb2

from gorego_tw.errors import Code, StatusError
from gorego_tw.http2 import hpack

#: Messages are cut here, in bytes before percent-encoding. Old clients allow 8 KiB of headers in all
#: (Bazel 4), percent-encoding may triple a message and the details repeat it.
MAX_MESSAGE_BYTES = 1024

#: Details larger than this, in bytes, are left out: the same 8 KiB.
MAX_DETAILS_BYTES = 3072

_START = (
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
)
_ACCEPTED = ((b"grpc-accept-encoding", b"identity,gzip"),)

#: The header block that opens every answer.
RESPONSE_HEADERS = hpack.encode((*_START, *_ACCEPTED))

#: The trailers of a call that went well.
OK_TRAILERS = hpack.encode(((b"grpc-status", b"0"),))

_PLAIN = frozenset(range(0x20, 0x7F)) - {ord("%")}


def percent_encoded(message: str) -> bytes:
    """``message`` as ``grpc-message`` carries it: UTF-8, all but printable ASCII as %XX, % too."""
    data = message.encode("utf-8", "replace")[:MAX_MESSAGE_BYTES]
    return b"".join(b"%c" % byte if byte in _PLAIN else b"%%%02X" % byte for byte in data)


def trailers(error: StatusError) -> bytes:
    """The block of trailers for a call that failed after its response headers were sent."""
    return hpack.encode(_fields(error))


def trailers_only(error: StatusError) -> bytes:
    """The single block of a call that failed before anything was sent."""
    return hpack.encode((*_START, *_ACCEPTED, *_fields(error)))


def _fields(error: StatusError) -> list[tuple[bytes, bytes]]:
    fields = [
        (b"grpc-status", b"%d" % error.code),
        (b"grpc-message", percent_encoded(error.message)),
    ]
    if error.details:
        details = _status_details(error.code, error)
        if len(details) <= MAX_DETAILS_BYTES:
            fields.append((b"grpc-status-details-bin", b64encode(details).rstrip(b"=")))
    return fields


def _status_details(code: Code, error: StatusError) -> bytes:
    status = status_pb2.Status(code=code, message=error.message[:MAX_MESSAGE_BYTES])
    for detail in error.details:
        status.details.add().Pack(detail)
    data: bytes = status.SerializeToString()
    return data
