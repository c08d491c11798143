"""The bytes of one blob on their way from where they are to who asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Self

from zope.interface import implementer

from gorego_tw.concurrency import close
from gorego_tw.interfaces import IBlobBody

#: The largest piece of a body (:meth:`IBlobBody.chunks`), in bytes.
PIECE_BYTES = 1 << 20


def parts(data: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """``data`` in pieces as a body has them: as it is, if it is none too large."""
    if len(data) <= PIECE_BYTES:
        yield data
        return
    view = memoryview(data)
    for at in range(0, len(view), PIECE_BYTES):
        yield view[at : at + PIECE_BYTES]


def up_to(
    pieces: AsyncIterator[bytes | memoryview], offset: int, end: int | None
) -> AsyncIterator[bytes | memoryview]:
    """The pieces of a body from ``offset`` on, up to ``end`` as :meth:`IBlobBody.chunks` has it.

    :param pieces: the last one is given out when all of the blob is known to be right.
    """
    return pieces if end is None else _Beginning(pieces, end - offset)


class _Beginning:
    """The pieces up to there, the last one when those behind it were read, too. No generator, because
    closing one that was never asked for anything would leave the pieces open.
    """

    __slots__ = ("_left", "_pieces")

    def __init__(self, pieces: AsyncIterator[bytes | memoryview], length: int) -> None:
        self._pieces = pieces
        self._left = length

    def __aiter__(self) -> _Beginning:
        return self

    async def __anext__(self) -> bytes | memoryview:
        """The next piece."""
        if self._left <= 0:
            await self.aclose()
            raise StopAsyncIteration
        piece = await anext(self._pieces)
        if len(piece) >= self._left:
            piece = bytes(memoryview(piece)[: self._left])
            async for _ in self._pieces:
                pass
        self._left -= len(piece)
        return piece

    async def aclose(self) -> None:
        """Let go of the pieces."""
        await close(self._pieces)


@implementer(IBlobBody)
class BytesBody:
    """A body that is in memory.

    :param data: the whole blob.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def size_bytes(self) -> int:
        """The length of the blob, in bytes."""
        return len(self.data)

    async def chunks(
        self, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes | memoryview]:
        """All of it from ``offset`` to ``end`` in one piece; nothing if nothing is left."""
        size = len(self.data)
        end = size if end is None else end
        if offset < end:
            yield self.data if end - offset == size else memoryview(self.data)[offset:end]

    async def read_all(self) -> bytes:
        """The data itself, without a copy."""
        return self.data

    def discard(self) -> None:
        """Nothing is held, so nothing is let go."""


class HandedOver:
    """A body that is at hand, for who opens one when it is its turn.

    It is let go of at the end of the block if it was never opened.
    """

    def __init__(self, body: IBlobBody) -> None:
        self._body: IBlobBody | None = body

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._body is not None:
            self._body.discard()

    async def open(self) -> IBlobBody:
        """The body; once."""
        body, self._body = self._body, None
        assert body is not None
        return body
