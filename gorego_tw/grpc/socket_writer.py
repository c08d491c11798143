"""Bytes to the transport: at once where the socket can take them, and a word when it cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from socket import socket
from typing import Protocol, TypeAlias

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

#: Bytes given to a socket that said it was full (answers to PINGs, errors); beyond it we stop
#: reading until it has taken them. Some ten thousand error answers.
MAX_UNSENT_BYTES = 1024 * 1024

#: Bytes one connection writes directly before the others have their turn: half a millisecond on
#: loopback. With a quarter of it a bulk download is a fifth slower.
MAX_BURST_BYTES = 1024 * 1024

#: What sendmsg takes at once (IOV_MAX is 1024 on Linux and the BSDs).
_MAX_PIECES = 1024

Pieces: TypeAlias = Sequence[bytes | memoryview]


class StreamTransport(Protocol):
    """What TCP, Unix and TLS transports have in common; Twisted has no one interface for it."""

    def write(self, data: bytes) -> None:
        """ITransport."""

    def loseConnection(self) -> None:
        """ITransport."""

    def abortConnection(self) -> None:
        """ITCPTransport."""

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """IConsumer."""

    def unregisterProducer(self) -> None:
        """IConsumer."""

    def pauseProducing(self) -> None:
        """IPushProducer: stop reading."""

    def resumeProducing(self) -> None:
        """IPushProducer: read again."""


class SocketWriter(Protocol):
    """Writes to one transport.

    ``full`` says whether to hold back what can wait; ``emptied`` (given when it is made) is
    called when it is not so any more.
    """

    full: bool

    def write(self, pieces: Pieces) -> None:
        """Take ``pieces``, whether full or not. They may change when this returns."""

    def new_turn(self) -> None:
        """The reactor has been to other connections meanwhile."""

    def close(self) -> None:
        """Tell the peer, when all is written, that no more will come."""


@implementer(IPullProducer)
class DirectWriter:
    """For a plain socket: most answers fit in its buffer, and a trip through the reactor to find that
    out costs as much as a whole small call.

    A pull producer is told each time the transport's own buffer is empty; nothing is written
    directly before that.
    """

    def __init__(self, transport: FileDescriptor, emptied: Callable[[], None]) -> None:
        self.full = False
        self._transport = transport
        self._socket: socket = transport.getHandle()  # type: ignore[attr-defined]  # as Connection has
        self._emptied = emptied
        self._unsent = 0
        self._burst = 0
        transport.registerProducer(self, False)

    def write(self, pieces: Pieces) -> None:
        """Send what the socket takes, queue the rest."""
        if self.full or not self._transport.connected:
            self._queue(b"".join(pieces))
            return
        size = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        self._burst += size
        sent = 0
        if self._burst <= MAX_BURST_BYTES and len(pieces) <= _MAX_PIECES:
            try:
                sent = self._socket.sendmsg(pieces)
            except OSError:  # full; or lost, which the reactor finds out and tells
                sent = 0
        if sent < size:
            self.full = True
            self._queue(_rest(pieces, sent))

    def new_turn(self) -> None:
        """The bound of a burst starts anew."""
        self._burst = 0

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._unsent = self._burst = 0
        if self.full:
            self.full = False
            self._transport.resumeProducing()
            self._emptied()

    def stopProducing(self) -> None:
        """The connection is going; its protocol is told."""

    def close(self) -> None:
        """End the stream of bytes when all is written."""
        # A transport waits for its producer to have no more before it closes.
        self._transport.unregisterProducer()
        # Closed entirely, the kernel answers what the peer still sends (a WINDOW_UPDATE for our last
        # bytes) with a reset, and that makes it lose what it has not read of them.
        self._transport.loseWriteConnection()

    def _queue(self, data: bytes) -> None:
        self._unsent += len(data)
        if self._unsent > MAX_UNSENT_BYTES:
            self._transport.pauseProducing()
        self._transport.write(data)


def _rest(pieces: Pieces, sent: int) -> bytes:
    """What is left of the pieces when so many bytes of them were sent."""
    rest = []
    for piece in pieces:
        if sent < len(piece):
            rest.append(memoryview(piece)[sent:] if sent else piece)
        sent = max(0, sent - len(piece))
    return b"".join(rest)


@implementer(IPushProducer)
class BufferedWriter:
    """For TLS and anything else that is not a bare socket: Twisted's own buffer and its limits."""

    def __init__(self, transport: StreamTransport, emptied: Callable[[], None]) -> None:
        self.full = False
        self._transport = transport
        self._emptied = emptied
        self._unsent = 0
        transport.registerProducer(self, True)

    def write(self, pieces: Pieces) -> None:
        """Queue a copy."""
        data = b"".join(pieces)
        if self.full:
            self._unsent += len(data)
            if self._unsent > MAX_UNSENT_BYTES:
                self._transport.pauseProducing()
        self._transport.write(data)

    def new_turn(self) -> None:
        """Nothing is bound to turns here."""

    def pauseProducing(self) -> None:
        """The buffer is longer than the transport likes."""
        self.full = True

    def resumeProducing(self) -> None:
        """The buffer is empty."""
        self.full = False
        self._unsent = 0
        self._transport.resumeProducing()
        self._emptied()

    def stopProducing(self) -> None:
        """The connection is going; its protocol is told."""

    def close(self) -> None:
        """End the stream of bytes when all is written."""
        # A transport waits for its producer to have no more before it closes.
        self._transport.unregisterProducer()
        self._transport.loseConnection()


def writer_for(transport: StreamTransport, emptied: Callable[[], None]) -> SocketWriter:
    """The fastest writer that ``transport`` allows."""
    if isinstance(transport, FileDescriptor) and hasattr(transport, "getHandle"):
        return DirectWriter(transport, emptied)
    return BufferedWriter(transport, emptied)
