"""ByteStream.Write of one blob, gone on with where it broke off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

from gorego_tw.body import parts
from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.errors import InvalidArgument, NotFound, StatusError, Unavailable, Unimplemented
from gorego_tw.forwarding import Metadata
from gorego_tw.interfaces import IBlobBody
from gorego_tw.pb.google.bytestream.bytestream_pb2 import (
    QueryWriteStatusRequest,
    WriteRequest,
    WriteResponse,
)
from gorego_tw.remote.link import QUERY_WRITE_STATUS, Link
from gorego_tw.resource_name import Compressor, WriteName
from gorego_tw.zstd.compression import compress_chunks

#: The committed_size of a compressed upload that the peer did not read to its end
#: (remote_execution.proto: the blob exists already).
_NOT_READ = -1


class Writing:
    """Sends blobs.

    :ivar resumed: how often an upload that broke off was gone on with.
    """

    def __init__(self, link: Link, instance_name: str) -> None:
        self.resumed = 0
        self._link = link
        self._instance_name = instance_name

    async def write(
        self,
        digest: Digest,
        open_body: Callable[[], Awaitable[IBlobBody]],
        compressor: Compressor,
        metadata: Metadata,
    ) -> None:
        """Keep the blob there.

        :param open_body: gives its bytes, again for each new try.
        :raises StatusError: it was refused, or broke off too often without progress.
        """
        name = WriteName(self._instance_name, str(uuid4()), digest, compressor)
        backoff = self._link.retrying.backoff()
        offset = 0
        while True:
            try:
                return await self.attempt(name, await open_body(), offset, metadata)
            except StatusError as error:
                await self._link.retrying.wait(backoff, error)
                self.resumed += 1
            held = await self._held(name, metadata)
            if held == digest.size_bytes:
                return None
            if held > offset:
                backoff.reset()
            offset = held

    async def once(self, digest: Digest, body: IBlobBody, metadata: Metadata) -> None:
        """Keep the blob there, at the first try."""
        name = WriteName(self._instance_name, str(uuid4()), digest, Compressor.IDENTITY)
        await self.attempt(name, body, 0, metadata)

    async def attempt(
        self, name: WriteName, body: IBlobBody, offset: int, metadata: Metadata
    ) -> None:
        """Send the bytes from ``offset`` on.

        :raises StatusError: it was refused, or broke off.
        """
        async with closing(_messages(name, body, offset)) as messages:
            reply = await self._link.write(messages, metadata=metadata)
        _check(name, reply)

    async def _held(self, name: WriteName, metadata: Metadata) -> int:
        """How much of an upload the peer has, in bytes; all of it if it has the blob."""
        if name.compressor:
            return 0  # offsets of compressed uploads mean different things to different servers
        request = QueryWriteStatusRequest(resource_name=str(name))
        try:
            status = await self._link.unary(QUERY_WRITE_STATUS, request, metadata=metadata)
        except (NotFound, Unimplemented, InvalidArgument):
            return 0
        size = name.digest.size_bytes
        return size if status.complete else min(status.committed_size, size - 1)


def _check(name: WriteName, reply: WriteResponse) -> None:
    size, committed = name.digest.size_bytes, reply.committed_size
    # The count of a compressed upload is of either kind (bazel#30000): it says nothing.
    if committed == size or name.compressor:
        return
    raise Unavailable(f"backing cache: blob {name.digest}: it took {committed} bytes of {size}")


async def _messages(name: WriteName, body: IBlobBody, offset: int) -> AsyncIterator[WriteRequest]:
    """The messages of one Write, the last of them with finish_write."""
    sent, size = offset, name.digest.size_bytes
    chunks = body.chunks(offset)
    pieces = compress_chunks(chunks, size) if name.compressor else chunks
    async with closing(chunks), closing(pieces):
        async for piece in pieces:
            for part in parts(piece):
                message = WriteRequest(write_offset=sent, data=bytes(part))
                if sent == offset:
                    message.resource_name = str(name)
                sent += len(part)
                message.finish_write = not name.compressor and sent == size
                yield message
    if name.compressor:
        yield WriteRequest(write_offset=sent, finish_write=True)
