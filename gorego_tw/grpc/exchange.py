"""What a call needs of the connection it came on."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from gorego_tw.grpc.outbound import Sender
from gorego_tw.http2.connection import ServerConnection


class Runnable(Protocol):
    """A call that waits to be started."""

    def run(self) -> None:
        """Start it."""


class Exchange(Protocol):
    """What a call needs of the connection it came on."""

    @property
    def connection(self) -> ServerConnection:
        """The HTTP/2 state."""

    @property
    def sender(self) -> Sender:
        """Where queued bytes take turns."""

    @property
    def clock(self) -> IReactorTime:
        """For deadlines."""

    @property
    def peer(self) -> str:
        """The client's address."""

    @property
    def max_message_bytes(self) -> int:
        """The largest message accepted."""

    def flush(self) -> None:
        """Send what is queued, at the end of the current turn."""

    def admit(self, call: Runnable) -> None:
        """Call ``call.run()`` as soon as the connection has memory for one more answer."""

    def call_ended(self, stream_id: int) -> None:
        """The call on ``stream_id`` is over."""
