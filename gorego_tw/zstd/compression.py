"""zstd, piece by piece: blobs as they come and go in ``compressed-blobs/zstd``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import zstandard

from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.errors import DigestMismatch, InvalidArgument
from gorego_tw.interfaces import IBlobBody, ICompressedBody
from gorego_tw.zstd.blocks import Blocks

#: The largest piece handed to the compressor or given out, in bytes: the size of a zstd block.
PIECE_BYTES = 128 * 1024

#: The level for what is compressed on the way to a client: the network is waited for, so the
#: fastest of the levels that are not negative.
_LEVEL = 1

#: How much history a frame may ask for, in bytes: each upload under way takes so much memory.
#: RFC 8878 (3.1.1.1.2) wants 8 MiB of every decoder; levels to 19 stay within that.
_MAX_WINDOW = 8 << 20


class Decompressor:
    """Expands one compressed blob; several frames are taken as one blob.

    :param digest: of the blob before compression. Nothing beyond its size is ever expanded.
    """

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._blocks = Blocks()
        self._stream = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj(
            read_across_frames=True
        )
        self._expanded = 0

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """What ``data`` expands to, in pieces of at most 128 KiB, each made when it is asked for.

        :raises InvalidArgument: it is not zstd.
        :raises DigestMismatch: it is more than the digest announces.
        """
        for block in self._cut(data):
            try:
                piece = self._stream.decompress(block)
            except zstandard.ZstdError as error:
                raise InvalidArgument(f"digest {self._digest}: zstd data: {error}") from None
            if piece:
                self._count(len(piece))
                yield piece

    def finish(self) -> None:
        """No more data comes.

        :raises InvalidArgument: the last frame is not whole.
        :raises DigestMismatch: it was less than the digest announces.
        """
        if not self._blocks.at_end:
            raise InvalidArgument(
                f"digest {self._digest}: zstd data ends in the middle of a frame, "
                f"after {self._expanded} bytes; send whole frames"
            )
        if self._expanded < self._digest.size_bytes:
            raise DigestMismatch(
                f"digest {self._digest}: the zstd data expands to {self._expanded} bytes; "
                f"the digest announces {self._digest.size_bytes}"
            )

    def _cut(self, data: bytes | memoryview) -> Iterator[memoryview]:
        try:
            yield from self._blocks.cut(data)
        except InvalidArgument as error:
            raise error.at(f"digest {self._digest}") from None

    def _count(self, size: int) -> None:
        self._expanded += size
        self._blocks.expanded = self._expanded
        if self._expanded > self._digest.size_bytes:
            raise DigestMismatch(
                f"digest {self._digest}: the zstd data expands to more than "
                f"the {self._digest.size_bytes} bytes the digest announces"
            )


def compress(data: bytes | memoryview) -> bytes:
    """``data`` as one frame, for blobs known to be small."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(data)


async def compress_chunks(
    chunks: AsyncIterator[bytes | memoryview], size_bytes: int
) -> AsyncIterator[bytes | memoryview]:
    """The chunks as one frame, in pieces of at most 128 KiB.

    :param size_bytes: how many bytes the chunks have together.
    """
    stream = zstandard.ZstdCompressor(level=_LEVEL).compressobj(size=size_bytes)
    async for chunk in chunks:
        for part in _pieces(chunk):
            for piece in _pieces(stream.compress(part)):
                yield piece
    for piece in _pieces(stream.flush()):
        yield piece


def kept_compressed(body: IBlobBody) -> ICompressedBody | None:
    """The body, if it is kept as zstd frames."""
    return ICompressedBody(body, None)


@asynccontextmanager
async def zstd_chunks(
    body: IBlobBody, offset: int = 0
) -> AsyncIterator[AsyncIterator[bytes | memoryview]]:
    """The body from ``offset`` on (in bytes before compression) as frames, for the length of a
    ``with`` block: those it is kept as, if it is, else one made on the way.
    """
    kept = kept_compressed(body)
    if kept is not None:
        async with closing(kept.zstd_chunks(offset)) as pieces:
            yield pieces
    else:
        async with closing(body.chunks(offset)) as chunks:
            yield compress_chunks(chunks, body.size_bytes - offset)


def _pieces(data: bytes | memoryview) -> Iterator[memoryview]:
    view = memoryview(data)
    for start in range(0, len(view), PIECE_BYTES):
        yield view[start : start + PIECE_BYTES]
