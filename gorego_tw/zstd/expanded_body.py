"""A blob that arrives compressed, expanded as it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator

from zope.interface import implementer

from gorego_tw.body import up_to
from gorego_tw.digest import Digest
from gorego_tw.interfaces import IBlobBody
from gorego_tw.zstd.compression import Decompressor


@implementer(IBlobBody)
class ExpandedBody:
    """The blob that the data is the compressed form of.

    :param digest: of the blob.
    :param compressed: the data, in pieces of any size.
    :ivar finished: whether all data was read and found right.
    """

    def __init__(self, digest: Digest, compressed: AsyncIterator[bytes | memoryview]) -> None:
        self._decompressor = Decompressor(digest)
        self._compressed = compressed
        self.size_bytes = digest.size_bytes
        self.finished = False

    def chunks(self, offset: int = 0, end: int | None = None) -> AsyncIterator[bytes | memoryview]:
        """The expanded bytes, in pieces of at most 128 KiB.

        :raises InvalidArgument: not zstd, or what the data itself fails with.
        :raises DigestMismatch: not as many bytes as the digest announces.
        """
        return up_to(self._expanded(offset), offset, end)

    async def read_all(self) -> bytes:
        """The whole blob."""
        return b"".join([piece async for piece in self.chunks()])

    def discard(self) -> None:
        """Nothing is held, so nothing is let go."""

    async def _expanded(self, skip: int) -> AsyncIterator[bytes | memoryview]:
        async for data in self._compressed:
            for piece in self._decompressor.feed(data):
                if skip < len(piece):
                    yield memoryview(piece)[skip:] if skip else piece
                skip = max(0, skip - len(piece))
        self._decompressor.finish()
        self.finished = True
