"""What the headers and trailers of a call say of how it went (gRPC over HTTP/2, "Responses")."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from grpc import StatusCode

from gorego_tw.errors import StatusError
from gorego_tw.grpc.metadata import decode_binary
from gorego_tw.http2.errors import ErrorCode
from gorego_tw.http2.header_rules import Field
from gorego_tw.remote.status import failure, status_code

#: What an HTTP status means where there is no gRPC status (http-grpc-status-mapping.md).
_HTTP: Mapping[bytes, StatusCode] = {
    b"400": StatusCode.INTERNAL,
    b"401": StatusCode.UNAUTHENTICATED,
    b"403": StatusCode.PERMISSION_DENIED,
    b"404": StatusCode.UNIMPLEMENTED,
    b"429": StatusCode.UNAVAILABLE,
    b"502": StatusCode.UNAVAILABLE,
    b"503": StatusCode.UNAVAILABLE,
    b"504": StatusCode.UNAVAILABLE,
}

#: What RST_STREAM means (gRPC over HTTP/2, "Errors"); any other code is INTERNAL.
_RESETS: Mapping[int, StatusCode] = {
    ErrorCode.REFUSED_STREAM: StatusCode.UNAVAILABLE,
    ErrorCode.CANCEL: StatusCode.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: StatusCode.PERMISSION_DENIED,
}


def is_informational(fields: list[Field]) -> bool:
    """Whether these are headers before the headers (RFC 9110 section 15.2)."""
    return dict(fields).get(b":status", b"").startswith(b"1")


def refusal(fields: list[Field]) -> StatusError | None:
    """Why what begins with these headers is no answer of gRPC; None if it is one."""
    found = dict(fields)
    status = found.get(b":status", b"")
    if status != b"200" and b"grpc-status" not in found:
        code = _HTTP.get(status, StatusCode.UNKNOWN)
        return failure(code, f"HTTP status {status.decode('latin-1')}", b"")
    if not found.get(b"content-type", b"application/grpc").startswith(b"application/grpc"):
        content_type = found[b"content-type"][:100].decode("latin-1")
        return failure(StatusCode.UNKNOWN, f"an answer of type {content_type!r}", b"")
    return None


def outcome(fields: list[Field]) -> StatusError | None:
    """The failure that the last headers tell of; None if all went well."""
    found = dict(fields)
    said = found.get(b"grpc-status", b"")
    code = status_code(int(said)) if said.isdigit() and len(said) < 4 else StatusCode.UNKNOWN
    if code is StatusCode.OK:
        return None
    text = unquote(found.get(b"grpc-message", b"").decode("latin-1"), errors="replace")
    details = decode_binary(found.get(b"grpc-status-details-bin", b"")) or b""
    return failure(code, text if said else "the call ended without a status", details)


def reset(code: int) -> StatusError:
    """The failure that RST_STREAM tells of."""
    name = ErrorCode(code).name if code in list(ErrorCode) else str(code)
    return failure(_RESETS.get(code, StatusCode.INTERNAL), f"the stream was reset: {name}", b"")
