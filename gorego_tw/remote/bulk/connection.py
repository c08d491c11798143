"""One connection for reads of large blobs: one call at a time."""

from __future__ import annotations

from collections.abc import Callable
from socket import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from gorego_tw.errors import StatusError, Unavailable
from gorego_tw.grpc.framing import prefix
from gorego_tw.http2.errors import ConnectionViolation, ErrorCode
from gorego_tw.http2.frame_queue import FrameQueue
from gorego_tw.http2.frames import PREFACE
from gorego_tw.http2.settings import DEFAULT_WINDOW, Setting
from gorego_tw.remote.bulk.incoming import MAX_FRAME_BYTES, Incoming
from gorego_tw.remote.bulk.room import Room
from gorego_tw.remote.connections import STREAM_WINDOW_BYTES
from gorego_tw.remote.no_answer import no_answer
from gorego_tw.remote.patience import Patience

#: How much is read in one turn of the reactor, in bytes: a quarter of a millisecond.
MAX_BURST_BYTES = 512 * 1024


class BulkConnection(Protocol):
    """Reads from its socket itself, into memory that whoever reads the blob has for it.

    :param seconds: how long the peer may say nothing while something is waited for.
    :param lost: called when the connection is gone.
    """

    def __init__(
        self, clock: IReactorTime, seconds: float, lost: Callable[[BulkConnection], object]
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._lost = lost
        self._queue = FrameQueue()
        self._incoming = Incoming(self._queue, STREAM_WINDOW_BYTES)
        self._next_stream = 1
        self._burst = 0
        self._failure: StatusError | None = None  # why nothing comes any more
        self._waiting: Deferred[None] | None = None
        self._patience: Patience | None = None
        self._transport: Any = None
        self._room = Room()
        self._socket: socket

    # Twisted calls

    def connectionMade(self) -> None:
        """Send the preface and our SETTINGS (RFC 9113 section 3.4)."""
        transport: Any = self.transport
        self._transport = transport
        self._socket = transport.getHandle()
        if hasattr(transport, "setTcpNoDelay"):
            transport.setTcpNoDelay(True)
        # The reactor calls this of a transport whose socket can be read; Twisted's own makes new bytes of it.
        transport.doRead = self._do_read
        self._queue.settings(
            {
                Setting.ENABLE_PUSH: 0,
                Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
                Setting.MAX_FRAME_SIZE: MAX_FRAME_BYTES,
            }
        )
        self._queue.window_update(0, STREAM_WINDOW_BYTES - DEFAULT_WINDOW)
        self._transport.write(PREFACE)
        self._send()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Whoever waits is told."""
        self._break(Unavailable(f"backing cache: connection lost: {reason.getErrorMessage()}"))
        self._lost(self)

    # The caller calls

    @property
    def reusable(self) -> bool:
        """Whether another call can be made."""
        incoming = self._incoming
        return self._failure is None and incoming.ended and not incoming.going_away

    def ask(self, headers: bytes, message: bytes, room: Room) -> None:
        """Make a call with that block of headers and that message, whose answer goes to ``room``."""
        self._room = room
        stream_id, self._next_stream = self._next_stream, self._next_stream + 2
        self._patience = Patience(self._seconds, self._clock, self._late)
        self._incoming.begin(stream_id)
        queue = self._queue
        queue.block(stream_id, headers, last=False)
        data = prefix(len(message)) + message
        queue.data(stream_id, (data,), len(data))
        queue.end(stream_id)
        self._send()

    async def next(self) -> memoryview:
        """The next data of the answer, as far as it has come; empty at the end.

        :raises StatusError: the call has failed, or nothing comes in time.
        """
        incoming = self._incoming
        incoming.give(self._room())
        try:
            if self._burst < MAX_BURST_BYTES:
                self._receive()
            while not incoming.landed and not incoming.ended and self._failure is None:
                await self._something()
        finally:
            piece = incoming.take()
        failure = incoming.failure if incoming.ended else self._failure
        if not piece and failure is not None:
            raise failure
        return piece

    def end(self) -> None:
        """The caller wants no more of the answer. What has not ended is broken off, with the connection."""
        if self._patience is not None:
            self._patience.close()
        if self.reusable:
            self._transport.resumeProducing()  # to hear if the peer closes it
        else:
            self.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._break(Unavailable("backing cache: the call was broken off"))
        if self._transport is not None:
            self._transport.abortConnection()

    # The socket

    def _do_read(self) -> object:
        """As IReadDescriptor: what it returns, if anything, ends the connection."""
        self._burst = 0
        why = self._receive()
        incoming = self._incoming
        if incoming.landed or incoming.ended:
            self._tell()
        return why

    def _receive(self) -> object:
        """Read what is there, as far as there is room and it is not too much at once."""
        incoming, sock = self._incoming, self._socket
        try:
            while self._failure is None and self._burst < MAX_BURST_BYTES:
                buffers = incoming.buffers()
                if not buffers:
                    self._transport.pauseProducing()
                    break
                count = sock.recvmsg_into(buffers)[0]
                if not count:
                    return CONNECTION_DONE
                self._burst += count
                incoming.received(count)
        except (BlockingIOError, InterruptedError):
            pass
        except ConnectionViolation as violation:
            return self._violated(violation)
        except OSError:
            return CONNECTION_LOST
        self._send()
        return None

    def _violated(self, violation: ConnectionViolation) -> object:
        self._queue.goaway(0, ErrorCode.PROTOCOL_ERROR, violation.message.encode())
        self._send()
        self._break(Unavailable(f"backing cache: it broke HTTP/2: {violation.message}"))
        return CONNECTION_DONE

    def _send(self) -> None:
        if self._queue:
            self._transport.writeSequence(self._queue.take())

    # Who waits

    def _something(self) -> Deferred[None]:
        """Fires when something has come."""
        self._transport.resumeProducing()
        if self._patience is not None:
            self._patience.asked()
        self._waiting = waiting = Deferred[None](self._forget)
        return waiting

    def _tell(self) -> None:
        waiting = self._take_waiting()
        if waiting is not None:
            waiting.callback(None)

    def _forget(self, _: Deferred[None]) -> None:
        self._take_waiting()

    def _take_waiting(self) -> Deferred[None] | None:
        if self._patience is not None:
            self._patience.answered()
        waiting, self._waiting = self._waiting, None
        return waiting

    def _late(self) -> None:
        self._break(no_answer(self._seconds))

    def _break(self, failure: StatusError) -> None:
        if self._failure is None:
            self._failure = failure
        self._tell()
