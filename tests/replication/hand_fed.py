"""A backing cache whose blobs come as the test sends them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextvars import Context, copy_context

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from gorego_tw.digest import Digest
from gorego_tw.errors import StatusError
from gorego_tw.forwarding import Metadata, forwarded
from gorego_tw.interfaces import IBlobBody


@implementer(IBlobBody)
class HandFedBody:
    """A body whose pieces are sent by hand.

    :ivar closed: whether it was let go of.
    """

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.closed = False
        self._pieces: list[Deferred[bytes]] = []
        self._waiting: Deferred[bytes] | None = None

    def send(self, data: bytes) -> None:
        """The next piece."""
        self._put(succeed(data))

    def end(self) -> None:
        """No piece comes any more."""
        self.send(b"")

    def fail(self, error: Exception) -> None:
        """The connection broke, as it were."""
        self._put(fail(error))

    async def chunks(
        self, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes | memoryview]:
        """The pieces as they are sent."""
        assert not offset
        try:
            while piece := await self._next():
                yield piece
        finally:
            self.closed = True

    async def read_all(self) -> bytes:
        """All pieces."""
        return b"".join([bytes(piece) async for piece in self.chunks()])

    def discard(self) -> None:
        """Let go."""
        self.closed = True

    def _put(self, piece: Deferred[bytes]) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self._pieces.append(piece)
        else:
            piece.chainDeferred(waiting)

    def _next(self) -> Deferred[bytes]:
        if self._pieces:
            return self._pieces.pop(0)
        self._waiting = Deferred()
        return self._waiting


class HandFedCache:
    """Answers when the test says so.

    :ivar asked: what was asked for.
    :ivar metadata: what the calls carried.
    :ivar contexts: in which they were made.
    """

    def __init__(self) -> None:
        self.asked: list[Digest] = []
        self.metadata: list[Metadata] = []
        self.contexts: list[Context] = []
        self._answers: list[Deferred[IBlobBody]] = []

    async def fetch(self, digest: Digest) -> IBlobBody:
        """The body of a blob, when it is answered."""
        self.asked.append(digest)
        self.metadata.append(forwarded())
        self.contexts.append(copy_context())
        answer: Deferred[IBlobBody] = Deferred()
        self._answers.append(answer)
        return await answer

    @property
    def unanswered(self) -> int:
        """How many calls wait for an answer."""
        return sum(not answer.called for answer in self._answers)

    def answer(self) -> HandFedBody:
        """Answer the oldest call that waits with a body."""
        body = HandFedBody(self.asked[self._answers.index(self._oldest())].size_bytes)
        self._oldest().callback(body)
        return body

    def refuse(self, error: StatusError) -> None:
        """Answer the oldest call that waits with a failure."""
        self._oldest().errback(error)

    def _oldest(self) -> Deferred[IBlobBody]:
        return next(answer for answer in self._answers if not answer.called)
