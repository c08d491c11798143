"""The bytes of one blob on their way from where they are to who asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

from zope.interface import implementer

from gorego_tw.interfaces import IBlobBody


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
