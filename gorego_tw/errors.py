"""The failures a call can end with: one class per status code of google/rpc/code.proto.

A message reads as a path from the outside in, so whoever passes a failure up
prepends where it happened::

    except StatusError as error:
        raise error.at("CAS")          # "CAS: backing cache: deadline exceeded after 5 s"
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, Literal, Self, TypeAlias

from google.protobuf.message import Message


class Code(IntEnum):
    """The canonical status codes, with their numbers on the wire (google/rpc/code.proto)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class StatusError(Exception):
    """A failure that is told to the client as it is: its code, its message, its details.

    :param message: what is wrong and what would be right, in one line.
    :param details: messages of google/rpc/error_details.proto that travel with the status.
    """

    code: ClassVar[Code] = Code.UNKNOWN

    def __init__(self, message: str, *details: Message) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def at(self, place: str) -> Self:
        """The same failure with ``place`` put before its message."""
        return type(self)(f"{place}: {self.message}", *self.details)


class Cancelled(StatusError):
    """The caller has gone."""

    code = Code.CANCELLED


class InvalidArgument(StatusError):
    """The request is wrong whatever the state of the cache is."""

    code = Code.INVALID_ARGUMENT


class DigestMismatch(InvalidArgument):
    """Data that does not have the size or the hash its digest announced."""


class DeadlineExceeded(StatusError):
    """The time the caller gave has passed."""

    code = Code.DEADLINE_EXCEEDED


#: Why something is absent: never heard of, evicted a while ago, an action result without its
#: outputs, one that the backing cache has no more, nobody to be asked, nobody who answers us,
#: damaged.
Reason: TypeAlias = Literal[
    "absent", "evicted", "incomplete", "expired", "backing_down", "denied", "corrupt"
]


class NotFound(StatusError):
    """Absence, and nothing but absence: the only failure that lets a store ask the next one.

    :param reason: for who counts misses.
    """

    code = Code.NOT_FOUND

    def __init__(self, message: str, *details: Message, reason: Reason = "absent") -> None:
        super().__init__(message, *details)
        self.reason = reason

    def at(self, place: str) -> Self:
        """The same failure with ``place`` put before its message."""
        return type(self)(f"{place}: {self.message}", *self.details, reason=self.reason)


class AlreadyExists(StatusError):
    """What was to be made is there."""

    code = Code.ALREADY_EXISTS


class PermissionDenied(StatusError):
    """The caller is known and may not do this."""

    code = Code.PERMISSION_DENIED


class ResourceExhausted(StatusError):
    """Too large or too much for now: a message, the disk, a queue."""

    code = Code.RESOURCE_EXHAUSTED


class FailedPrecondition(StatusError):
    """The state of the cache has to change before the call can succeed."""

    code = Code.FAILED_PRECONDITION


class Aborted(StatusError):
    """Another call took over what this one was doing."""

    code = Code.ABORTED


class OutOfRange(StatusError):
    """An offset beyond the end of a blob."""

    code = Code.OUT_OF_RANGE


class Unimplemented(StatusError):
    """No such method, compressor or digest function here."""

    code = Code.UNIMPLEMENTED


class Internal(StatusError):
    """Our own fault."""

    code = Code.INTERNAL


class Unavailable(StatusError):
    """Trouble that may be over at the next try."""

    code = Code.UNAVAILABLE


class DataLoss(StatusError):
    """Bytes that turned out damaged after some of them had been sent."""

    code = Code.DATA_LOSS


class Unauthenticated(StatusError):
    """The caller has to say who it is."""

    code = Code.UNAUTHENTICATED


#: What says that the caller may not do this, as who it is.
REFUSALS = (PermissionDenied, Unauthenticated)
