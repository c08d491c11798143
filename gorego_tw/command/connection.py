"""The control service, wherever it is: what all ways to it have in common."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from gorego_tw.errors import Code

ReplyT = TypeVar("ReplyT", bound=Message)

#: What the command ends with, beside 0.
NOT_ALL_WELL = 1
UNUSABLE = 3


class Refused(Exception):
    """What the service said.

    :param code: what kind of failure it is.
    :param message: in one line.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Connection(Protocol):
    """Calls the methods of ``gorego.control.v1.Control``. All of them raise :class:`Refused`."""

    def ask(self, method: str, request: Message, reply: type[ReplyT]) -> ReplyT:
        """One request, one reply of that type."""

    def stream(self, method: str, request: Message, reply: type[ReplyT]) -> Generator[ReplyT]:
        """One request, and replies as they come. To be closed before the connection is."""

    def send(self, method: str, requests: Iterator[Message], reply: type[ReplyT]) -> ReplyT:
        """Requests as they are made, one reply."""
