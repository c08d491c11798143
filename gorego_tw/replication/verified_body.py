"""A blob that is passed on without being kept, and verified on its way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from zope.interface import implementer

from gorego_tw.body import up_to
from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, DigestMismatch
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage.blob_writer import check_hash, check_size, verified


@implementer(IBlobBody)
class VerifiedBody:
    """Gives out the last piece of a body only if all of it has the digest.

    :param body: of the backing cache.
    :param corrupt: called when it has not.
    :param left: called when the reader is done with it, perhaps more than once.
    """

    def __init__(
        self,
        digest: Digest,
        body: IBlobBody,
        corrupt: Callable[[], object],
        left: Callable[[], object] = bool,
    ) -> None:
        self.digest = digest
        self.size_bytes = digest.size_bytes
        self._body = body
        self._corrupt = corrupt
        self.left = left

    def chunks(self, offset: int = 0, end: int | None = None) -> AsyncIterator[bytes | memoryview]:
        """The pieces of the body. What is before ``offset`` is read, too: the hash is one of all of it.

        :raises DataLoss: the body is another blob's.
        """
        return up_to(VerifiedPieces(self, self._body.chunks(), offset), offset, end)

    async def read_all(self) -> bytes:
        """The whole blob.

        :raises DataLoss: the body is another blob's.
        """
        try:
            return verified(self.digest, await self._body.read_all())
        except (DataLoss, DigestMismatch) as error:
            raise self.damaged(error) from error
        finally:
            self.left()

    def discard(self) -> None:
        """Let go of the body."""
        self._body.discard()
        self.left()

    def damaged(self, error: DataLoss | DigestMismatch) -> DataLoss:
        """Tell that it is another blob; what the reader is told."""
        self._corrupt()
        return error if isinstance(error, DataLoss) else wrong_data(error)


class VerifiedPieces:
    """The pieces of a body from ``offset`` on. No generator: see :class:`FilePieces`."""

    def __init__(
        self, body: VerifiedBody, pieces: AsyncIterator[bytes | memoryview], offset: int
    ) -> None:
        self._body = body
        self._pieces = pieces
        self._offset = offset
        self._size_bytes = 0
        self._hasher = body.digest.function.hasher()

    def __aiter__(self) -> VerifiedPieces:
        return self

    async def __anext__(self) -> bytes | memoryview:
        """The next piece.

        :raises DataLoss: the body is another blob's.
        """
        while self._size_bytes < self._body.size_bytes:
            piece = await self._next()
            skipped = self._offset - (self._size_bytes - len(piece))
            if skipped < len(piece):
                return piece if skipped <= 0 else memoryview(piece)[skipped:]
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Let go of the body."""
        close = getattr(self._pieces, "aclose", self._body.discard)
        try:
            closed = close()
            if closed is not None:
                await closed
        finally:
            self._body.left()

    async def _next(self) -> bytes | memoryview:
        digest = self._body.digest
        try:
            piece = await anext(self._pieces, b"")
            self._size_bytes += len(piece)
            self._hasher.update(piece)
            if not piece or self._size_bytes > digest.size_bytes:
                check_size(digest, self._size_bytes)
            if self._size_bytes == digest.size_bytes:
                check_hash(digest, self._hasher.digest())
        except (DataLoss, DigestMismatch) as error:
            await self.aclose()
            raise self._body.damaged(error) from error
        return piece


def wrong_data(error: DigestMismatch) -> DataLoss:
    """What readers are told of data that is not the blob it was asked for."""
    return DataLoss(f"backing cache: {error.message}")
