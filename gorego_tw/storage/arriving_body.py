"""A blob that is read while it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from zope.interface import implementer

from gorego_tw.body import up_to
from gorego_tw.interfaces import IBlobBody

#: How much a reader that is behind reads from the file at once, in bytes. There may be hundreds of them for
#: one blob, each with so much memory.
CATCH_UP_CHUNK = 128 * 1024


class Source(Protocol):
    """Where the bytes come from."""

    async def read(self, offset: int, memory: Callable[[], memoryview]) -> memoryview:
        """The bytes from ``offset`` on that are there, at least one: waits until one is.

        :param memory: gives memory for what has to be copied.
        """


@implementer(IBlobBody)
class ArrivingBody:
    """One reader's view of the blob.

    :param left: called once, when the reader has read all, or has let go of the body.
    """

    __slots__ = ("_left", "size_bytes", "source")

    def __init__(self, source: Source, size_bytes: int, left: Callable[[], object]) -> None:
        self.source = source
        self.size_bytes = size_bytes
        self._left: Callable[[], object] | None = left

    def chunks(self, offset: int = 0, end: int | None = None) -> AsyncIterator[bytes | memoryview]:
        """Pieces as they arrive: those that are there in as few as possible, in memory shared by all readers."""
        return up_to(ArrivingPieces(self, offset), offset, end)

    async def read_all(self) -> bytes:
        """The whole blob, when it is there."""
        data = bytearray()
        async for piece in self.chunks():
            data += piece
        return bytes(data)

    def discard(self) -> None:
        """Leave."""
        left, self._left = self._left, None
        if left is not None:
            left()

    def __del__(self) -> None:
        self.discard()


class ArrivingPieces:
    """The pieces of a body from ``offset`` on."""

    __slots__ = ("_body", "_memory", "_offset")

    def __init__(self, body: ArrivingBody, offset: int) -> None:
        self._body = body
        self._offset = offset
        self._memory: memoryview | None = None

    def __aiter__(self) -> ArrivingPieces:
        return self

    async def __anext__(self) -> memoryview:
        """The next piece."""
        body = self._body
        if self._offset >= body.size_bytes:
            body.discard()
            raise StopAsyncIteration
        try:
            piece = await body.source.read(self._offset, self._own_memory)
        except BaseException:
            body.discard()
            raise
        self._offset += len(piece)
        return piece

    async def aclose(self) -> None:
        """Leave."""
        self._body.discard()

    def _own_memory(self) -> memoryview:
        if self._memory is None:
            self._memory = memoryview(bytearray(CATCH_UP_CHUNK))
        return self._memory
