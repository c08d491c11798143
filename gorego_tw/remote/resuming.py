"""A blob that comes in a stream, gone on with where it broke off."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Self, TypeAlias

from twisted.internet import defer
from zope.interface import implementer

from gorego_tw.body import parts, up_to
from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, InvalidArgument, ResourceExhausted, StatusError, Unavailable
from gorego_tw.interfaces import ILandingBody
from gorego_tw.remote.bulk.room import Room
from gorego_tw.remote.retry import Retrying, is_retryable
from gorego_tw.storage.blob_writer import verified

#: How long a peer that has sent all bytes may take to say that these are all, in seconds.
END_SECONDS = 1.0

#: Asks once for the bytes of a blob from an offset on.
Attempt: TypeAlias = Callable[[int], AsyncGenerator[bytes | memoryview, None]]


#: Trouble that is not tried again, and says nothing of the blob: the breaker is open, or a quota is full.
_BUSY = (Unavailable, ResourceExhausted)


class Resuming:
    """Streams that are gone on with.

    :ivar resumed: how often one was that had broken off.
    """

    def __init__(self, retrying: Retrying) -> None:
        self.resumed = 0
        self._retrying = retrying

    async def stream(
        self, digest: Digest, attempt: Attempt, offset: int
    ) -> AsyncGenerator[bytes | memoryview, None]:
        """The bytes from ``offset`` on, up to the last, however often it breaks off.

        :raises DataLoss: there are more than the digest announces.
        :raises StatusError: it broke off too often without progress.
        """
        backoff = self._retrying.backoff()
        while offset < digest.size_bytes:
            try:
                async with closing(attempt(offset)) as pieces:
                    async for piece in pieces:
                        if offset + len(piece) > digest.size_bytes:
                            raise _too_much(digest)
                        offset += len(piece)
                        if piece:
                            backoff.reset()
                            yield piece
                        if offset == digest.size_bytes:
                            await self._end(digest, pieces)
                            return
                if offset < digest.size_bytes:
                    raise Unavailable(
                        f"backing cache: blob {digest}: the stream ended after {offset} bytes"
                    )
            except StatusError as error:
                if offset == digest.size_bytes and (
                    is_retryable(error) or isinstance(error, _BUSY)
                ):
                    return  # a new try could give nothing more
                await self._retrying.wait(backoff, error)
                self.resumed += 1

    async def _end(self, digest: Digest, pieces: AsyncIterator[bytes | memoryview]) -> None:
        """Nothing more comes, or nothing for a while: the reader has all, and waits for this."""

        async def following() -> bytes | memoryview:
            return await anext(pieces, b"")

        ending = defer.Deferred.fromCoroutine(following())
        try:
            more = await ending.addTimeout(END_SECONDS, self._retrying.clock)
        except defer.TimeoutError:
            return
        if more:
            raise _too_much(digest)


def _too_much(digest: Digest) -> DataLoss:
    return DataLoss(f"backing cache: blob {digest}: more data than that")


class _Pieces:
    """The pieces of a body, which break its stream off when they are closed.

    No generator, because closing a generator that was never asked for anything runs none of
    its code, and the call would stay open.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes | memoryview, None],
        stream: AsyncGenerator[bytes | memoryview, None],
    ) -> None:
        self._pieces = pieces
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[bytes | memoryview]:
        """The next piece."""
        return self._pieces.__anext__()

    async def aclose(self) -> None:
        """Break the stream off."""
        await self._pieces.aclose()
        await self._stream.aclose()


@implementer(ILandingBody)
class RemoteBody:
    """A blob on its way. Its hash is verified by :meth:`read_all` alone: whoever takes the pieces
    keeps them, and verifies what is kept.

    :param room: where the next piece goes, if that makes a difference.
    """

    def __init__(
        self, digest: Digest, attempt: Attempt, resuming: Resuming, room: Room | None = None
    ) -> None:
        self.size_bytes = digest.size_bytes
        self._digest = digest
        self._attempt = attempt
        self._resuming = resuming
        self._room = room
        self._stream = resuming.stream(digest, attempt, 0)
        self._first: bytes | memoryview | None = None

    async def begin(self) -> Self:
        """Wait for the first piece, so that it is known that the blob is there.

        :raises NotFound: it is not.
        """
        self._first = await anext(self._stream)
        return self

    def land_in(self, give: Callable[[], memoryview]) -> None:
        """As ILandingBody."""
        if self._room is not None:
            self._room.take_from(give)

    def chunks(self, offset: int = 0, end: int | None = None) -> AsyncIterator[bytes | memoryview]:
        """Pieces from ``offset`` to ``end``."""
        return up_to(_Pieces(self._from(offset), self._stream), offset, end)

    async def read_all(self) -> bytes:
        """The whole blob.

        :raises DataLoss: it has another hash.
        """
        data = bytearray()
        async for piece in self.chunks():
            data += piece
        try:
            return verified(self._digest, bytes(data))
        except InvalidArgument as error:
            raise DataLoss(f"backing cache: {error.message}") from error

    def discard(self) -> None:
        """Break the stream off."""
        # Closing has nothing to wait for: the call is cancelled on the way out.
        with suppress(StopIteration):
            self._stream.aclose().send(None)

    async def _from(self, offset: int) -> AsyncGenerator[bytes | memoryview, None]:
        stream = self._stream
        if offset:
            await stream.aclose()
            stream = self._resuming.stream(self._digest, self._attempt, offset)
        async with closing(stream) as pieces:
            if not offset and self._first is not None:
                for part in parts(self._first):
                    yield part
            async for piece in pieces:
                for part in parts(piece):
                    yield part
