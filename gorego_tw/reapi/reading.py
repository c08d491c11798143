"""The replies of ByteStream.Read: a blob in serialized pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import lru_cache

from gorego_tw.concurrency import closing
from gorego_tw.errors import InvalidArgument, OutOfRange
from gorego_tw.grpc.router import Buffers
from gorego_tw.interfaces import IBlobBody
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadRequest
from gorego_tw.resource_name import Compressor, ReadName
from gorego_tw.zstd.compression import zstd_chunks

#: ReadResponse.data: field 10, with a length before it.
_DATA_TAG = b"\x52"


@lru_cache(maxsize=256)  # nearly all chunks have one of a few lengths; 256 × under 100 bytes
def _data_header(size: int) -> bytes:
    """What comes before ``size`` bytes of data in a serialized ReadResponse."""
    header = bytearray(_DATA_TAG)
    while size > 0x7F:
        header.append(size & 0x7F | 0x80)
        size >>= 7
    header.append(size)
    return bytes(header)


def check_range(request: ReadRequest, name: ReadName) -> None:
    """Whether the part of the blob that is asked for exists.

    :raises InvalidArgument: a limit that is negative, or given for a compressed read.
    :raises OutOfRange: an offset that is negative or beyond the end.
    """
    offset, limit, size = request.read_offset, request.read_limit, name.digest.size_bytes
    if limit and name.compressor:
        raise InvalidArgument(f"read_limit {limit}: it has to be 0 for compressed-blobs")
    if limit < 0:
        raise InvalidArgument(f"read_limit {limit}: a limit is 0 (none) or more bytes")
    if not 0 <= offset <= size:
        raise OutOfRange(f"read_offset {offset}: an offset is 0 to {size}, the size of the blob")


async def identity_replies(body: IBlobBody, offset: int, limit: int) -> AsyncIterator[Buffers]:
    """The bytes as they are, from ``offset`` on; at most ``limit`` of them unless it is 0."""
    if offset == body.size_bytes:
        body.discard()
        return
    end = offset + limit if limit and limit < body.size_bytes - offset else None
    async with closing(body.chunks(offset, end)) as chunks:
        async for chunk in chunks:
            yield _data_header(len(chunk)), chunk


async def zstd_replies(body: IBlobBody, offset: int) -> AsyncIterator[Buffers]:
    """The bytes from ``offset`` on, compressed. The offset counts bytes before compression."""
    async with zstd_chunks(body, offset) as pieces:
        async for piece in pieces:
            yield _data_header(len(piece)), piece


def replies(body: IBlobBody, request: ReadRequest, name: ReadName) -> AsyncIterator[Buffers]:
    """The body in the form that is asked for; ``check_range`` has passed."""
    if name.compressor is Compressor.ZSTD:
        return zstd_replies(body, request.read_offset)
    return identity_replies(body, request.read_offset, request.read_limit)
