"""Bodies of HTTP requests and responses, with back-pressure."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
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
from gorego_tw.remote.breaker import Breaker
from gorego_tw.remote.no_answer import no_answer

#: So much of a response is held for who reads it slowly, in bytes; then the peer has to wait.
MOST_HELD_BYTES = 1 << 20


class Response(Protocol):
    """A response whose head has come, and its body, piece by piece. Closing it breaks it off.

    :param breaker: is told how it goes on: the head alone is no success.
    :param seconds: how long the next piece may take.
    :param ended: called when its connection is free or gone.
    :ivar head: what came before the body.
    """

    def __init__(
        self,
        head: IResponse,
        breaker: Breaker,
        seconds: float,
        clock: IReactorTime,
        ended: Callable[[], object],
    ) -> None:
        self.head = head
        self._breaker = breaker
        self._seconds = seconds
        self._clock = clock
        self._ended = ended
        self._pieces: deque[bytes] = deque()
        self._held_bytes = 0
        self._paused = False
        self._end: Failure | None = None
        self._waiting: Deferred[None] | None = None
        head.deliverBody(self)

    def __aiter__(self) -> Response:
        return self

    async def __anext__(self) -> bytes:
        """The next piece.

        :raises Unavailable: the response broke off, or does not go on.
        """
        piece = await self._breaker.watch(self._next)
        if not piece:
            raise StopAsyncIteration
        return piece

    async def finish(self) -> None:
        """Read the body to its end, so that the connection can be used again.

        :raises Unavailable: it broke off, or does not go on.
        """
        taken = 0
        async with closing(self):
            async for piece in self:
                taken += len(piece)
                if taken > MOST_HELD_BYTES:  # nobody has a use for it
                    return

    async def aclose(self) -> None:
        """Take no more of it."""
        if self._end is None:
            self._pieces.clear()
            self._transport().stopProducing()

    def dataReceived(self, data: bytes) -> None:
        """Some of it has come."""
        if not data:
            return  # that would be the end
        self._pieces.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= MOST_HELD_BYTES and not self._paused:
            self._paused = True
            self._transport().pauseProducing()
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """No more will come."""
        self._end = reason
        self._ended()
        self._wake()

    async def _next(self) -> bytes:
        """The next piece; nothing at the end."""
        while not self._pieces:
            if self._end is not None:
                self._check_end(self._end)
                return b""
            self._waiting = Deferred(self._forget)
            self._waiting.addTimeout(self._seconds, self._clock, self._too_late)
            await self._waiting
        piece = self._pieces.popleft()
        self._held_bytes -= len(piece)
        if self._paused and not self._held_bytes:
            self._paused = False
            self._transport().resumeProducing()
        return piece

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
    :param ended: called when its connection is free or gone.
    """

    def __init__(
        self,
        response: IResponse,
        seconds: float,
        clock: IReactorTime,
        ended: Callable[[], object],
    ) -> None:
        self._left = MOST_HELD_BYTES
        self._ended = ended
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
        self._ended()

    def _enough(self) -> None:
        transport: Any = self.transport
        transport.stopProducing()


@implementer(IBodyProducer)
class BlobProducer:
    """A blob as the body of a request.

    :param open_body: gives its bytes when it is their turn.
    :ivar length: how many bytes it has.
    :ivar failure: what went wrong with the blob itself, if anything did.
    :ivar progressed: called after each piece that the peer took.
    """

    def __init__(self, size_bytes: int, open_body: Callable[[], Awaitable[IBlobBody]]) -> None:
        self.length = size_bytes
        self.failure: Exception | None = None
        self.progressed: Callable[[], object] = lambda: None
        self._open_body = open_body
        self._resumed: Deferred[None] = succeed(None)
        self._producing: Deferred[None] | None = None
        self._written: Deferred[None] = Deferred(lambda _: self.stopProducing())

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write all of it.

        :returns: fires when it is written; never if it is stopped before.
        """
        self._producing = Deferred.fromCoroutine(self._produce(consumer))
        self._producing.addCallbacks(self._written.callback, self._broken)
        return self._written

    def pauseProducing(self) -> None:
        """Write no more for now."""
        if self._resumed.called:
            self._resumed = Deferred()

    def resumeProducing(self) -> None:
        """Go on."""
        if not self._resumed.called:
            self._resumed.callback(None)

    def stopProducing(self) -> None:
        """Write no more at all; nothing if all is written."""
        if self._producing is not None:
            self._producing.cancel()

    async def _produce(self, consumer: IConsumer) -> None:
        body = await self._open_body()
        pieces: AsyncIterator[bytes | memoryview] = body.chunks()
        async with closing(pieces):
            async for piece in pieces:
                consumer.write(bytes(piece))
                await self._resumed
                self.progressed()

    def _broken(self, reason: Failure) -> None:
        if reason.check(CancelledError):
            return  # by stopProducing, after which IBodyProducer allows no word more
        assert isinstance(reason.value, Exception)
        self.failure = reason.value  # the agent wraps it beyond recognition
        self._written.errback(reason)
