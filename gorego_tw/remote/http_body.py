"""Bodies of HTTP requests and responses, with back-pressure."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from gorego_tw.concurrency import closing
from gorego_tw.errors import Unavailable
from gorego_tw.interfaces import IBlobBody
from gorego_tw.remote.no_answer import no_answer

#: So much of a response is held for who reads it slowly, in bytes; then the peer has to wait.
MOST_HELD_BYTES = 1 << 20


class ResponsePieces(Protocol):
    """The body of a response, piece by piece. Closing it breaks the response off.

    :param seconds: how long the next piece may take.
    """

    def __init__(self, response: IResponse, seconds: float, clock: IReactorTime) -> None:
        self._seconds = seconds
        self._clock = clock
        self._pieces: deque[bytes] = deque()
        self._held_bytes = 0
        self._paused = False
        self._end: Failure | None = None
        self._waiting: Deferred[None] | None = None
        response.deliverBody(self)

    def __aiter__(self) -> ResponsePieces:
        return self

    async def __anext__(self) -> bytes:
        """The next piece.

        :raises Unavailable: the response broke off, or does not go on.
        """
        while not self._pieces:
            if self._end is not None:
                self._check_end(self._end)
                raise StopAsyncIteration
            self._waiting = Deferred(self._forget)
            self._waiting.addTimeout(self._seconds, self._clock, self._too_late)
            await self._waiting
        piece = self._pieces.popleft()
        self._held_bytes -= len(piece)
        if self._paused and not self._held_bytes:
            self._paused = False
            self._transport().resumeProducing()
        return piece

    async def aclose(self) -> None:
        """Take no more of it."""
        if self._end is None:
            self._pieces.clear()
            self._transport().stopProducing()

    def dataReceived(self, data: bytes) -> None:
        """Some of it has come."""
        self._pieces.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= MOST_HELD_BYTES and not self._paused:
            self._paused = True
            self._transport().pauseProducing()
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """No more will come."""
        self._end = reason
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def _forget(self, _: Deferred[None]) -> None:
        self._waiting = None

    @property
    def may_be_cut(self) -> bool:
        """Whether it has ended, and nothing says that this was all: for what has no digest."""
        return self._end is not None and self._end.check(PotentialDataLoss) is not None

    def _check_end(self, end: Failure) -> None:
        # Without a length nobody knows whether that was all; a blob's digest says.
        if not end.check(ResponseDone, PotentialDataLoss):
            raise Unavailable(f"backing cache: the response broke off: {end.getErrorMessage()}")

    def _too_late(self, _: object, seconds: float) -> Failure:
        return Failure(no_answer(seconds))

    def _transport(self) -> Any:
        return self.transport


class UnwantedBody(Protocol):
    """Takes the body of a failure, so that the connection can be used again; not more than a page.

    :param seconds: how long it may take.
    """

    def __init__(self, response: IResponse, seconds: float, clock: IReactorTime) -> None:
        self._left = MOST_HELD_BYTES
        self._timer = clock.callLater(seconds, self._enough)
        response.deliverBody(self)

    def dataReceived(self, data: bytes) -> None:
        """Nobody looks at it."""
        self._left -= len(data)
        if self._left < 0:
            self._enough()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That was all."""
        if self._timer.active():
            self._timer.cancel()

    def _enough(self) -> None:
        transport: Any = self.transport
        transport.stopProducing()


@implementer(IBodyProducer)
class BlobProducer:
    """A blob as the body of a request.

    :ivar length: how many bytes it has.
    :ivar failure: what went wrong with the blob itself, if anything did.
    :ivar progressed: called after each piece that the peer took.
    """

    def __init__(self, body: IBlobBody) -> None:
        self.length = body.size_bytes
        self.failure: Exception | None = None
        self.progressed: Callable[[], object] = lambda: None
        self._body = body
        self._resumed: Deferred[None] = succeed(None)
        self._producing: Deferred[None] | None = None

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write all of it.

        :returns: fires when it is written.
        """
        self._producing = Deferred.fromCoroutine(self._produce(consumer))
        return self._producing

    def pauseProducing(self) -> None:
        """Write no more for now."""
        if self._resumed.called:
            self._resumed = Deferred()

    def resumeProducing(self) -> None:
        """Go on."""
        if not self._resumed.called:
            self._resumed.callback(None)

    def stopProducing(self) -> None:
        """Write no more at all."""
        if self._producing is None:
            self._body.discard()
        else:
            self._producing.cancel()

    async def _produce(self, consumer: IConsumer) -> None:
        pieces: AsyncIterator[bytes | memoryview] = self._body.chunks()
        try:
            async with closing(pieces):
                async for piece in pieces:
                    consumer.write(bytes(piece))
                    await self._resumed
                    self.progressed()
        except CancelledError:
            return  # nobody wants it any more, and the request says why
        except Exception as error:  # the agent wraps it beyond recognition
            self.failure = error
            raise
