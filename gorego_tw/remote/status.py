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
    AlreadyExists,
    DataLoss,
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
from gorego_tw.remote.no_answer import no_answer

#: Those that are not here mean that the peer, or the way to it, is in trouble. A client is told
#: UNAVAILABLE of it: a code of the backing cache's inside says nothing of ours.
_ANSWERS: Mapping[StatusCode, type[StatusError]] = {
    StatusCode.INVALID_ARGUMENT: InvalidArgument,
    StatusCode.NOT_FOUND: NotFound,
    StatusCode.ALREADY_EXISTS: AlreadyExists,
    StatusCode.PERMISSION_DENIED: PermissionDenied,
    StatusCode.UNAUTHENTICATED: Unauthenticated,
    StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    StatusCode.ABORTED: Aborted,
    StatusCode.OUT_OF_RANGE: OutOfRange,
    StatusCode.UNIMPLEMENTED: Unimplemented,
    StatusCode.DATA_LOSS: DataLoss,
}

_BY_NUMBER: Mapping[int, StatusCode] = {code.value[0]: code for code in StatusCode}

_DETAILS_KEY = "grpc-status-details-bin"
#: What grpcio says, INTERNAL, of a stream that the peer has answered while a message was on its way:
#: the peer is well, only nobody can tell any more what it said.
_LOST_ANSWER = "Internal error from Core"

#: What gRPC says, with a code made of it, of an answer in plain HTTP: it is of something on the way to the
#: peer, such as a proxy that does not find it for the moment.
_NO_GRPC = "Received http2 header with status: "

_TYPE_PREFIX = "google.rpc."


def status_of(error: AioRpcError, seconds: float) -> StatusError:
    """The failure as one of ours, with its details.

    :param seconds: the deadline that the call had, in seconds.
    """
    code, text = error.code(), error.details() or ""
    if code is StatusCode.DEADLINE_EXCEEDED:
        return no_answer(seconds)
    if text == _LOST_ANSWER:
        return Aborted("backing cache: its answer got lost: it came while more was being sent")
    return failure(code, text, _packed_details(error))


def failure(code: StatusCode, text: str, details: bytes) -> StatusError:
    """The failure that a peer tells of.

    :param details: a serialized google.rpc.Status, if there is one.
    """
    cls = None if text.startswith(_NO_GRPC) else _ANSWERS.get(code)
    if cls is None:
        return Unavailable(f"backing cache: {code.name}: {text}", *_details(details))
    return cls(f"backing cache: {text or code.name}", *_details(details))


def not_reached(error: NotFound) -> Unavailable:
    """What NOT_FOUND is where nothing was asked for that could be absent: an instance name that nobody serves, a
    proxy that does not find the peer.
    """
    return Unavailable(error.message, *error.details)


def status_code(number: int) -> StatusCode:
    """The code of that number; UNKNOWN for one that is none."""
    return _BY_NUMBER.get(number, StatusCode.UNKNOWN)


def error_of(status: Status) -> StatusError:
    """The failure of one blob of a batch."""
    try:
        cls = _ANSWERS.get(_BY_NUMBER[status.code])
    except KeyError:
        cls = None
    message = f"backing cache: {status.message or f'status {status.code}'}"
    return (cls or Unavailable)(message, *_known(status))


def _packed_details(error: AioRpcError) -> bytes:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            return value
    return b""


def _details(packed: bytes) -> list[Message]:
    try:
        return _known(Status.FromString(packed))
    except DecodeError:
        return []


def _known(status: Status) -> list[Message]:
    return [message for packed in status.details if (message := _unpacked(packed)) is not None]


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
