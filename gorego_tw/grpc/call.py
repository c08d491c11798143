"""One RPC on one stream: from its headers to its status."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from txaio.tx import make_logger

from gorego_tw.concurrency import closing
from gorego_tw.errors import (
    Cancelled,
    Code,
    DeadlineExceeded,
    Internal,
    StatusError,
    Unimplemented,
)
from gorego_tw.grpc.caller import Caller
from gorego_tw.grpc.coroutine import Driver, drive
from gorego_tw.grpc.exchange import Exchange
from gorego_tw.grpc.framing import MessageBuffer, only_message
from gorego_tw.grpc.outbound import TURN_BYTES, Outbound
from gorego_tw.grpc.replies import pieces_of
from gorego_tw.grpc.request_head import RequestHead
from gorego_tw.grpc.requests import RequestStream, parse
from gorego_tw.grpc.router import Buffers, Reply
from gorego_tw.grpc.status import OK_TRAILERS, RESPONSE_HEADERS, trailers, trailers_only
from gorego_tw.http2.errors import ErrorCode
from gorego_tw.http2.headers import Headers

# An index, which an enumeration's member would be looked up and asked for.
_OK, _CANCELLED = int(Code.OK), int(Code.CANCELLED)


class ServerCall(Caller):
    """One RPC, and what its service sees of it.

    :param exchange: the connection.
    :param head: what ``headers`` ask for.
    """

    __slots__ = (
        "_begun",
        "_buffer",
        "_driver",
        "_finished",
        "_outbound",
        "_peer_ended",
        "_requests",
        "_sent_at_once",
        "_started",
        "_stream_id",
        "_timer",
        "_unary_message",
    )
    _log = make_logger()

    def __init__(
        self, exchange: Exchange, stream_id: int, head: RequestHead, headers: Headers
    ) -> None:
        super().__init__(exchange, head, headers)
        self._stream_id = stream_id
        self._buffer: MessageBuffer | None = None  # most calls are one message in one frame
        self._unary_message: bytes | None = None
        self._requests: RequestStream | None = None
        self._outbound: Outbound | None = None
        self._driver: Driver | None = None
        self._timer: IDelayedCall | None = None
        self._begun = False  # the service was asked
        self._started = False  # response headers are sent
        self._finished = False  # the status is decided
        self._peer_ended = False
        self._sent_at_once = 0  # bytes sent since the coroutine last waited

    # What arrives

    def begin(self) -> None:
        """The headers are here: a method that takes a stream starts now."""
        if self._head.method.streams_requests:
            self._requests = RequestStream(self._head.method.request_type, self._acknowledge)
            self._exchange.admit(self)

    def data_received(self, data: bytes, flow_size: int, ended: bool) -> None:
        """Bytes of request messages; ``ended`` says that no more will come."""
        self._head.traffic.received_bytes += len(data)
        self._peer_ended = ended
        buffer = self._buffer
        if buffer is None:
            if ended and self._requests is None and self._is_only_message(data, flow_size):
                return
            buffer = MessageBuffer(self._exchange.max_message_bytes, self._head.encoding)
            self._buffer = buffer
        try:
            messages = buffer.feed(data)
        except StatusError as error:
            self._acknowledge(flow_size)
            self.fail(error)
            return
        if ended and buffer.incomplete:
            self._acknowledge(flow_size)
            self.fail(Internal("the request ended inside a message"))
            return
        if self._requests is not None:
            self._requests.received(messages, flow_size, ended)
            return
        self._acknowledge(flow_size)
        for message in messages:
            if self._unary_message is not None:
                self.fail(Unimplemented("a second request message; the method takes one"))
                return
            self._unary_message = message
        if ended:
            self._unary_received()

    def _is_only_message(self, data: bytes, flow_size: int) -> bool:
        """Whether that is the whole request of a unary call, which then begins."""
        message = only_message(data, self._exchange.max_message_bytes)
        if message is None:
            return False
        self._acknowledge(flow_size)
        self._unary_message = message
        self._exchange.admit(self)
        return True

    def ended(self) -> None:
        """The request ended without further data."""
        self.data_received(b"", 0, True)

    def cancel(self) -> None:
        """The client has gone: nothing can be told to it any more."""
        if not self._finished:
            self._drop_queued()
            self._peer_ended = True
            self._close(_CANCELLED)
            self._stop()

    @property
    def held_bytes(self) -> int:
        """The bytes of a request message that is incomplete."""
        return 0 if self._buffer is None else self._buffer.held_bytes

    def arm_deadline(self) -> None:
        """Start the timer, for a call that did not end in the turn it came in."""
        if self._finished or self._deadline is None or self._timer is not None:
            return
        clock = self._exchange.clock
        # A timer cannot run for years; nobody waits for more than a day.
        seconds = min(max(0.0, self._deadline - clock.seconds()), 86400.0)
        self._timer = clock.callLater(seconds, self._deadline_passed)

    def _unary_received(self) -> None:
        if self._unary_message is None:
            self.fail(Unimplemented("no request message; the method takes one"))
        else:
            self._exchange.admit(self)

    def _deadline_passed(self) -> None:
        self._timer = None
        self.fail(DeadlineExceeded(f"deadline of {self._head.timeout} s exceeded"))

    def _acknowledge(self, n: int) -> None:
        if n and not self._exchange.connection.closed:
            self._exchange.connection.acknowledge(self._stream_id, n)
            if self._requests is not None:  # the service may have taken its time to take it
                self._exchange.flush()

    # What the service does

    def run(self) -> None:
        """Start the service's coroutine."""
        if self._finished:
            return
        _, streams_replies, request_type, handle, _ = self._head.method
        request: Any = self._requests
        if request is None:
            assert self._unary_message is not None
            try:
                request = parse(request_type, self._unary_message)
            except StatusError as error:
                self.fail(error)
                return
            self._unary_message = None
        self._begun = True
        if streams_replies:
            self._drive_on(drive(self._answered, self._send_all, handle, request))
        else:
            self._drive_on(drive(self._answered, handle, request, self))

    def _drive_on(self, driver: Driver | None) -> None:
        self._driver = driver
        if self._finished:  # by itself, or by what its first step did to the connection
            self._stop()

    async def _send_all(self, handle: Callable[..., AsyncIterator[Reply]], request: Any) -> None:
        replies = handle(request, self)
        async with closing(replies):
            async for reply in replies:
                await self._send(pieces_of(reply))

    async def _send(self, pieces: Buffers) -> None:
        self._start()
        length = sum(map(len, pieces))
        self._head.traffic.sent_bytes += length
        if self._fits_at_once(length):
            self._exchange.connection.send(self._stream_id, b"".join(pieces))
            self._exchange.flush()
            return
        self._sent_at_once = 0
        outbound = self._queue(pieces)
        drained = outbound.drained()
        self._exchange.flush()
        await drained

    def _fits_at_once(self, length: int) -> bool:
        self._sent_at_once += length
        return (
            self._sent_at_once <= TURN_BYTES
            and not self._exchange.sender.full
            and length <= self._exchange.connection.sendable(self._stream_id)
        )

    def _answered(self, reply: Reply | None, error: Exception | None) -> None:
        self._driver = None
        if self._finished:
            return
        if error is None:
            self._succeed(reply)
        elif isinstance(error, StatusError):
            self.fail(error)
        elif isinstance(error, CancelledError):
            self.fail(Cancelled("the call was cancelled"))
        else:
            self._fail_by_bug(error)

    def _fail_by_bug(self, error: Exception) -> None:
        self._log.failure("{path}: internal error", Failure(error), path=self.path)
        self.fail(Internal("internal error; the server's log has the cause"))

    # What is sent

    def _succeed(self, reply: Reply | None) -> None:
        pieces = () if reply is None else pieces_of(reply)
        length = sum(map(len, pieces))
        self._head.traffic.sent_bytes += length
        if not self._started and length <= TURN_BYTES and self._at_once(pieces):
            self._close(_OK)
            return
        self._start()
        self._queue(pieces).close()
        self._exchange.flush()

    def _at_once(self, pieces: Buffers) -> bool:
        if self._exchange.sender.full:
            return False
        return self._exchange.connection.respond_and_finish(
            self._stream_id, RESPONSE_HEADERS, b"".join(pieces), OK_TRAILERS
        )

    def fail(self, error: StatusError) -> None:
        """End the call with the status of ``error``; the service's coroutine is cancelled."""
        if self._finished:
            return
        refused = self._head.method.refused
        if not self._begun and refused is not None:
            refused(self, error)
        # What is queued is of no use to a client that is told of a failure.
        self._drop_queued()
        block = trailers(error) if self._started else trailers_only(error)
        self._exchange.connection.finish(self._stream_id, block)
        self._close(error.code)
        self._stop()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._exchange.connection.respond(self._stream_id, RESPONSE_HEADERS)

    def _queue(self, pieces: Buffers) -> Outbound:
        if self._outbound is None:
            self._outbound = Outbound(self._stream_id, self._all_sent)
        self._outbound.put(pieces)
        self._exchange.sender.add(self._outbound)
        return self._outbound

    def _all_sent(self) -> None:
        self._exchange.connection.finish(self._stream_id, OK_TRAILERS)
        self._close(_OK)

    # The end

    def _close(self, code: int) -> None:
        self._finished = True
        self._head.traffic.codes[code] += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        connection = self._exchange.connection
        if not self._peer_ended and not connection.closed:
            # The whole answer is given; the rest of the request is not wanted (RFC 9113 8.1).
            connection.reset(self._stream_id, ErrorCode.NO_ERROR)
        if self._requests is not None:
            self._requests.close()
        self._exchange.call_ended(self._stream_id)
        self._exchange.flush()

    def _drop_queued(self) -> None:
        if self._outbound is not None:
            self._exchange.sender.drop(self._outbound)

    def _stop(self) -> None:
        if self._driver is not None:
            self._driver.cancel()
