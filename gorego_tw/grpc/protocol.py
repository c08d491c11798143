"""gRPC on one connection: bytes from Twisted to calls, and what they answer back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from txaio.tx import make_logger

from gorego_tw.errors import ResourceExhausted, StatusError, Unavailable
from gorego_tw.grpc.call import ServerCall
from gorego_tw.grpc.exchange import Runnable
from gorego_tw.grpc.outbound import Sender
from gorego_tw.grpc.plain_http import PlainAnswer
from gorego_tw.grpc.request_head import PlainRequest, RefusedCall, RequestHead, read_head
from gorego_tw.grpc.router import Router
from gorego_tw.grpc.socket_writer import SocketWriter, StreamTransport, writer_for
from gorego_tw.grpc.status import trailers_only
from gorego_tw.grpc.turn import Turn
from gorego_tw.http2 import events
from gorego_tw.http2.connection import ServerConnection
from gorego_tw.http2.errors import ErrorCode
from gorego_tw.http2.limits import Limits

#: Answers queued on a connection whose client does not read; beyond it calls wait to be started. Eight
#: of the largest messages a client takes by default (4 MiB).
MAX_QUEUED_BYTES = 32 * 1024 * 1024

#: Incomplete request messages on one connection: sixteen of the largest. A call that needs more is refused.
MAX_INCOMPLETE_BYTES = 256 * 1024 * 1024

#: How long, in seconds, a peer to which we have ended may take to end from its side.
LINGER_SECONDS = 2.0

#: The payloads of our PINGs.
_ALIVE = b"gorego ?"
_DRAIN = b"gorego !"

Event: TypeAlias = Any


class GRPCProtocol(Protocol):
    """Serves one connection.

    :param router: where calls go.
    :param clock: deadlines and flood limits.
    :param max_message_bytes: the largest message accepted, in bytes.
    :param closed: called with this protocol when the connection is lost.
    :param turn: the reactor's, which all connections share.
    """

    _log = make_logger()

    def __init__(
        self,
        router: Router,
        clock: IReactorTime,
        *,
        max_message_bytes: int,
        closed: Callable[[GRPCProtocol], None],
        limits: Limits,
        turn: Turn,
    ) -> None:
        self.clock = clock
        self.max_message_bytes = max_message_bytes
        self.connection = ServerConnection(limits=limits)
        self.sender = Sender(self.connection)
        self.peer = ""
        self.last_received = clock.seconds()
        self._router = router
        self._closed = closed
        self._turn = turn
        self._calls: dict[int, ServerCall] = {}
        self._plain: dict[int, PlainAnswer] = {}
        self._fresh: list[ServerCall] = []  # calls that began in this turn
        self._waiting: deque[Runnable] = deque()  # calls that wait for memory
        self._receiving = False
        self._closing: IDelayedCall | None = None
        self._transport: StreamTransport
        self._writer: SocketWriter | None = None
        self._drained: Deferred[None] | None = None
        self._on_event: dict[type, Callable[[Event], None]] = {
            events.RequestStarted: self._request_started,
            events.DataReceived: self._data_received,
            events.TrailersReceived: self._trailers_received,
            events.StreamReset: self._stream_reset,
            events.WindowOpened: self._window_opened,
            events.PingAcknowledged: self._ping_acknowledged,
            events.ConnectionTerminated: self._terminated,
        }

    # Twisted calls

    def connectionMade(self) -> None:
        """Send our SETTINGS."""
        assert self.transport is not None
        self.peer = _address(self.transport.getPeer())
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
        self._transport = cast(StreamTransport, self.transport)
        self._writer = writer_for(self._transport, self.flush)
        self.sender.connected(self._writer)
        self.sender.flush()

    def dataReceived(self, data: bytes) -> None:
        """Handle all frames in ``data`` in one pass; what they produce leaves in one write, now or at
        the end of the turn.
        """
        if self._closing is not None:
            return
        self.last_received = now = self.clock.seconds()
        assert self._writer is not None
        self._writer.new_turn()
        self._receiving = True
        try:
            on_event = self._on_event
            for event in self.connection.receive(data, now):
                react = on_event.get(type(event))
                if react is not None:
                    react(event)
        finally:
            self._receiving = False
        if self._fresh:
            for call in self._fresh:
                call.arm_deadline()
            self._fresh.clear()
        self._turn.handled(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Cancel every call."""
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        # There is nothing to be closed any more when the last call has ended.
        drained, self._drained = self._drained, None
        self._cancel_all()
        self._turn.left(self)
        self._router.traffic.streams_refused += self.connection.streams_refused
        self._closed(self)
        if drained is not None:
            drained.callback(None)

    def _cancel_all(self) -> None:
        for call in list(self._calls.values()):
            call.cancel()
        for answer in self._plain.values():
            answer.cancel()
        self._plain.clear()
        self._waiting.clear()

    # Calls ask

    def flush(self) -> None:
        """Send what is queued; nothing while input is being handled, since its end does it."""
        if self._receiving:
            return
        self.sender.pump()
        while self._waiting and self.sender.queued_bytes < MAX_QUEUED_BYTES:
            self._waiting.popleft().run()
        if self._drained is not None:
            self._close_if_idle()

    def admit(self, call: Runnable) -> None:
        """Run ``call`` now, or when what is queued for this client has become less."""
        if self._waiting or self.sender.queued_bytes >= MAX_QUEUED_BYTES:
            self._waiting.append(call)
        else:
            call.run()

    def call_ended(self, stream_id: int) -> None:
        """Forget the call."""
        self._calls.pop(stream_id, None)

    # The server asks

    @property
    def open_calls(self) -> int:
        """How many calls are running."""
        return len(self._calls)

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self.connection.ping(_ALIVE)
        self.flush()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._transport.abortConnection()

    def drain(self) -> Deferred[None]:
        """Take no new streams, and close when those that run have ended.

        :returns: fires when the connection is closed.
        """
        drained: Deferred[None] = Deferred()
        self._drained = drained
        # Twice, as RFC 9113 6.8 advises: streams the peer opened before it read the first GOAWAY are
        # served; its answer to the PING says that it has read it.
        self.connection.shut_down()
        self.connection.ping(_DRAIN)
        try:
            self.flush()
        except RuntimeError:
            # uvloop, of a socket that failed just now and that it has closed by itself: nobody will tell.
            self.connectionLost()
        return drained

    def end_calls(self) -> None:
        """The grace is over: what still runs fails with UNAVAILABLE."""
        for call in list(self._calls.values()):
            call.fail(Unavailable("the server is shutting down"))
        self.flush()

    # Frames say

    def _request_started(self, event: events.RequestStarted) -> None:
        headers = event.headers
        head = headers.memo
        if head is None:
            head = headers.memo = read_head(headers, self._router)
        if type(head) is not RequestHead:
            self._refuse(event, head)
            return
        call = ServerCall(self, event.stream_id, head, headers)
        self._calls[event.stream_id] = call
        self._fresh.append(call)
        call.begin()
        if event.ended:
            call.ended()

    def _refuse(self, event: events.RequestStarted, head: object) -> None:
        if isinstance(head, PlainRequest):
            answer = PlainAnswer(self.connection, self.sender, event.stream_id, self._plain_ended)
            self._plain[event.stream_id] = answer
            answer.send(head, without_body=event.headers.method == b"HEAD")
            return
        assert isinstance(head, RefusedCall)
        head.traffic.codes[head.error.code] += 1
        self.connection.finish(event.stream_id, trailers_only(head.error))
        if not event.ended:
            self.connection.reset(event.stream_id, ErrorCode.NO_ERROR)

    def _plain_ended(self, stream_id: int) -> None:
        self._plain.pop(stream_id, None)

    def _data_received(self, event: events.DataReceived) -> None:
        call = self._calls.get(event.stream_id)
        if call is None:
            self.connection.acknowledge(event.stream_id, event.flow_size)
            return
        call.data_received(event.data, event.flow_size, event.ended)
        if not event.ended and call.held_bytes > self.max_message_bytes // 16:
            self._check_memory(call)

    def _check_memory(self, call: ServerCall) -> None:
        held = sum(other.held_bytes for other in self._calls.values())
        if held > MAX_INCOMPLETE_BYTES:
            call.fail(self._too_much(held))

    def _too_much(self, held: int) -> StatusError:
        return ResourceExhausted(
            f"{held} bytes of incomplete messages on one connection; "
            f"at most {MAX_INCOMPLETE_BYTES} are held"
        )

    def _trailers_received(self, event: events.TrailersReceived) -> None:
        call = self._calls.get(event.stream_id)
        if call is not None:
            call.ended()

    def _stream_reset(self, event: events.StreamReset) -> None:
        if event.by_peer:
            self._router.traffic.streams_reset_by_client += 1
        else:
            self._router.traffic.streams_reset_by_server += 1
        call = self._calls.get(event.stream_id)
        if call is not None:
            call.cancel()
        answer = self._plain.pop(event.stream_id, None)
        if answer is not None:
            answer.cancel()

    def _window_opened(self, event: events.WindowOpened) -> None:
        self.sender.window_opened(event.stream_id)

    def _ping_acknowledged(self, event: events.PingAcknowledged) -> None:
        if event.payload == _DRAIN:
            self.connection.goaway(ErrorCode.NO_ERROR, b"the server is shutting down")

    def _terminated(self, event: events.ConnectionTerminated) -> None:
        self._log.info(
            "{peer}: connection ended: {code}: {message}",
            peer=self.peer,
            code=event.code.name,
            message=event.message,
        )
        self._cancel_all()
        self.sender.flush()
        self._close()

    def _close_if_idle(self) -> None:
        if not self._calls and not self._plain:
            self._close()

    def _close(self) -> None:
        assert self._writer is not None
        if self._closing is None:
            self._closing = self.clock.callLater(LINGER_SECONDS, self._transport.loseConnection)
            self._writer.close()


def _address(address: object) -> str:
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    return f"{host}:{port}" if host is not None else "unix"
