"""The bytes of one blob on their way from where they are to who asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from zope.interface import implementer

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

    async def chunks(self, offset: int = 0) -> AsyncIterator[bytes | memoryview]:
        """All of it from ``offset`` in one piece; nothing if nothing is left."""
        if offset < len(self.data):
            yield memoryview(self.data)[offset:] if offset else self.data

    async def read_all(self) -> bytes:
        """The data itself, without a copy."""
        return self.data

    def discard(self) -> None:
        """Nothing is held, so nothing is let go."""
