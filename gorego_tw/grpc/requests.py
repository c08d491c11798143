"""The request messages of one call, as they arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from google.protobuf.message import DecodeError, Message
from twisted.internet.defer import Deferred

from gorego_tw.errors import Internal


def parse(request_type: type[Message], data: bytes) -> Message:
    """The message that ``data`` serializes.

    :raises Internal: it is none (the code of grpc/doc/statuscodes.md for this).
    """
    try:
        return request_type.FromString(data)
    except DecodeError as error:
        name = request_type.DESCRIPTOR.full_name
        raise Internal(f"request: not a serialized {name}: {error}") from None


class RequestStream:
    """An asynchronous iterator of requests; back-pressure is the HTTP/2 window.

    Bytes are acknowledged at once while the service waits for a message, and only when
    it has taken the last one while it does not: what it leaves lying is bounded by the stream's window.

    :param request_type: what each message is.
    :param acknowledge: gives flow-controlled bytes back to the peer.
    """

    __slots__ = ("_acknowledge", "_ended", "_messages", "_type", "_unacknowledged", "_waiter")

    def __init__(self, request_type: type[Message], acknowledge: Callable[[int], None]) -> None:
        self._type = request_type
        self._acknowledge = acknowledge
        self._messages: deque[bytes] = deque()
        self._unacknowledged = 0
        self._ended = False
        self._waiter: Deferred[None] | None = None

    def received(self, messages: Sequence[bytes], flow_size: int, ended: bool) -> None:
        """``messages`` became whole by ``flow_size`` flow-controlled bytes; ``ended`` says they were the last."""
        self._messages.extend(messages)
        self._unacknowledged += flow_size
        self._ended = self._ended or ended
        if not self._messages:
            self._acknowledge_all()
        if self._waiter is not None and (self._messages or self._ended):
            waiter, self._waiter = self._waiter, None
            waiter.callback(None)

    def __aiter__(self) -> RequestStream:
        return self

    async def __anext__(self) -> Message:
        """The next request.

        :raises Internal: the bytes are not such a message.
        """
        while not self._messages:
            if self._ended:
                raise StopAsyncIteration
            self._waiter = Deferred(self._forget_waiter)
            await self._waiter
        data = self._messages.popleft()
        if not self._messages:
            self._acknowledge_all()
        return parse(self._type, data)

    def close(self) -> None:
        """Nobody takes any more of them: what was left lying takes nothing of the connection's window."""
        self._messages.clear()
        self._acknowledge_all()

    def _forget_waiter(self, _: Deferred[None]) -> None:
        self._waiter = None

    def _acknowledge_all(self) -> None:
        if self._unacknowledged:
            n, self._unacknowledged = self._unacknowledged, 0
            self._acknowledge(n)
