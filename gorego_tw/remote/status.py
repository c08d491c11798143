"""What gRPC's failures of a call are to us."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc.aio import AioRpcError

from gorego_tw.errors import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    StatusError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

#: Those that are not here mean that the peer, or the way to it, is in trouble. A client is told
#: UNAVAILABLE of it: a code of the backing cache's inside says nothing of ours.
_ANSWERS: Mapping[StatusCode, type[StatusError]] = {
    StatusCode.INVALID_ARGUMENT: InvalidArgument,
    StatusCode.NOT_FOUND: NotFound,
    StatusCode.PERMISSION_DENIED: PermissionDenied,
    StatusCode.UNAUTHENTICATED: Unauthenticated,
    StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    StatusCode.ABORTED: Aborted,
    StatusCode.OUT_OF_RANGE: OutOfRange,
    StatusCode.UNIMPLEMENTED: Unimplemented,
}

_DETAILS_KEY = "grpc-status-details-bin"
_TYPE_PREFIX = "google.rpc."


def status_of(error: AioRpcError, seconds: float) -> StatusError:
    """The failure as one of ours, with its details.

    :param seconds: the deadline that the call had, in seconds.
    """
    code, text = error.code(), error.details() or ""
    if code is StatusCode.DEADLINE_EXCEEDED:
        return Unavailable(f"backing cache: deadline exceeded after {seconds:g} s")
    cls = _ANSWERS.get(code)
    if cls is None:
        return Unavailable(f"backing cache: {code.name}: {text}", *_details(error))
    return cls(f"backing cache: {text or code.name}", *_details(error))


def _details(error: AioRpcError) -> list[Message]:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                packed = Status.FromString(value).details
            except DecodeError:
                return []
            return [message for any_ in packed if (message := _unpacked(any_)) is not None]
    return []


def _unpacked(packed: Message) -> Message | None:
    """The detail, if it is one of google/rpc/error_details.proto; others nobody here understands."""
    name: str = packed.TypeName()  # type: ignore[attr-defined]
    cls = getattr(error_details_pb2, name.removeprefix(_TYPE_PREFIX), None)
    if not name.startswith(_TYPE_PREFIX) or cls is None:
        return None
    message: Message = cls()
    try:
        packed.Unpack(message)  # type: ignore[attr-defined]
    except DecodeError:
        return None
    return message
