"""What waits to be sent: per stream a queue of pieces, per connection the turn-taking among streams."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred

from gorego_tw.grpc.router import Buffers
from gorego_tw.grpc.socket_writer import SocketWriter
from gorego_tw.http2.connection import ServerConnection

#: The bytes one stream sends before the next has its turn. What is sent at once stays in a core's cache from
#: the read of a file to the write to the socket, and fits in what the kernel makes one packet of on
#: loopback; twice as much is a third slower.
TURN_BYTES = 64 * 1024

#: The same where no other stream waits, and each turn of ours costs more than what the cores keep saves.
SOLE_TURN_BYTES = 256 * 1024

#: A turn takes so much more if that is all there is: a few bytes around a message make no turn of their own.
_SLACK_BYTES = 1024


class Outbound:
    """The bytes of one stream that the peer's windows, or the socket, do not take yet.

    :param stream_id: the stream.
    :param end: called when all is sent and nothing more will come.
    """

    __slots__ = ("_drained", "_end", "_ended", "_pieces", "pending_bytes", "stream_id")

    def __init__(self, stream_id: int, end: Callable[[], None]) -> None:
        self.stream_id = stream_id
        self.pending_bytes = 0
        self._pieces: deque[memoryview] = deque()
        self._drained: Deferred[None] | None = None
        self._end = end
        self._ended = False

    def put(self, pieces: Buffers) -> None:
        """Queue ``pieces``, which must not change until they are sent."""
        for piece in pieces:
            if piece:
                self._pieces.append(memoryview(piece))
                self.pending_bytes += len(piece)

    def drained(self) -> Deferred[None]:
        """Fires when all that was put is sent. One waiter at a time: the stream's own coroutine."""
        self._drained = Deferred(self._forget_waiter)
        return self._drained

    def close(self) -> None:
        """Nothing more will be put."""
        self._ended = True

    def take(self, limit: int) -> list[memoryview]:
        """At most ``limit`` bytes from the front."""
        taken = []
        while limit and self._pieces:
            piece = self._pieces[0]
            if len(piece) > limit:
                self._pieces[0] = piece[limit:]
                piece = piece[:limit]
            else:
                self._pieces.popleft()
            limit -= len(piece)
            self.pending_bytes -= len(piece)
            taken.append(piece)
        return taken

    def all_sent(self) -> None:
        """The last byte has left: end the stream, or wake who waits to put more."""
        if self._ended:
            self._end()
        elif self._drained is not None:
            waiter, self._drained = self._drained, None
            waiter.callback(None)

    def _forget_waiter(self, _: Deferred[None]) -> None:
        self._drained = None


class Sender:
    """Shares one connection among the streams that have something to send, turn by turn.

    :param connection: the HTTP/2 state.
    """

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._writer: SocketWriter | None = None
        self._turns: deque[Outbound] = deque()
        self._blocked: dict[int, Outbound] = {}
        self._queued: dict[int, int] = {}
        self._pumping = False
        self.queued_bytes = 0

    def connected(self, writer: SocketWriter) -> None:
        """Bytes go to ``writer`` from now on."""
        self._writer = writer

    @property
    def full(self) -> bool:
        """Whether the socket takes nothing at the moment."""
        return self._writer is None or self._writer.full

    def add(self, outbound: Outbound) -> None:
        """``outbound`` has got pieces, or its end; it must not be waiting here already."""
        self._count(outbound)
        self._turns.append(outbound)

    def drop(self, outbound: Outbound) -> None:
        """The stream is gone; what it had queued will not be sent."""
        self.queued_bytes -= self._queued.pop(outbound.stream_id, 0)
        self._blocked.pop(outbound.stream_id, None)
        if outbound in self._turns:
            self._turns.remove(outbound)

    def window_opened(self, stream_id: int) -> None:
        """The peer lets more through, on one stream or (0) on the connection."""
        if stream_id == 0:
            self._turns.extend(self._blocked.values())
            self._blocked.clear()
        else:
            outbound = self._blocked.pop(stream_id, None)
            if outbound is not None:
                self._turns.append(outbound)

    def flush(self) -> None:
        """Write what the connection has queued."""
        if self._writer is not None and self._connection.has_output:
            self._writer.write(self._connection.pieces_to_send())

    def pump(self) -> None:
        """Give turns until the socket is full or nobody can send."""
        if self._pumping:
            return
        self._pumping = True
        try:
            self.flush()
            while self._turns and not self.full:
                self._turn(self._turns.popleft())
        finally:
            self._pumping = False

    def _turn(self, outbound: Outbound) -> None:
        if outbound.pending_bytes:
            wanted = outbound.pending_bytes
            turn = TURN_BYTES if self._turns else SOLE_TURN_BYTES
            if wanted > turn + _SLACK_BYTES:
                wanted = turn
            room = min(wanted, self._connection.sendable(outbound.stream_id))
            if room <= 0:
                self._blocked[outbound.stream_id] = outbound
                return
            self._connection.send(outbound.stream_id, *outbound.take(room))
            # The pieces are copied here, so whoever gave them may reuse them.
            self.flush()
            self._count(outbound)
        if outbound.pending_bytes:
            self._turns.append(outbound)
        else:
            outbound.all_sent()
            self.flush()

    def _count(self, outbound: Outbound) -> None:
        before = self._queued.pop(outbound.stream_id, 0)
        if outbound.pending_bytes:
            self._queued[outbound.stream_id] = outbound.pending_bytes
        self.queued_bytes += outbound.pending_bytes - before
