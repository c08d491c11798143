"""ByteStream.Write of one blob, gone on with where it broke off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

from gorego_tw.body import HandedOver, parts
from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.errors import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    StatusError,
    Unavailable,
    Unimplemented,
)
from gorego_tw.forwarding import Metadata
from gorego_tw.interfaces import IBlobBody
from gorego_tw.pb.google.bytestream.bytestream_pb2 import (
    QueryWriteStatusRequest,
    WriteRequest,
    WriteResponse,
)
from gorego_tw.remote.link import QUERY_WRITE_STATUS, Link
from gorego_tw.remote.no_answer import NoAnswer
from gorego_tw.resource_name import Compressor, WriteName
from gorego_tw.zstd.compression import zstd_chunks

#: The committed_size of a compressed upload that the peer did not read to its end
#: (remote_execution.proto: the blob exists already); some servers end every one with it.
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
        offset = furthest = 0
        while True:
            try:
                return await self.attempt(name, open_body, offset, metadata)
            except NoAnswer as error:
                failure: NoAnswer | None = error  # how much it has says whether it hangs
            except StatusError as error:
                failure = None
                await self._link.retrying.wait(backoff, error)
            self.resumed += 1
            held = await self._held(name, metadata)
            if held is None:
                return None
            if held > furthest:
                furthest = held
                backoff.reset()
            elif failure is not None:
                raise failure
            offset = held

    async def once(
        self, digest: Digest, body: IBlobBody, compressor: Compressor, metadata: Metadata
    ) -> None:
        """Keep the blob there, at the first try."""
        name = WriteName(self._instance_name, str(uuid4()), digest, compressor)
        with HandedOver(body) as given:
            await self.attempt(name, given.open, 0, metadata)

    async def attempt(
        self,
        name: WriteName,
        open_body: Callable[[], Awaitable[IBlobBody]],
        offset: int,
        metadata: Metadata,
    ) -> None:
        """Send the bytes from ``offset`` on.

        :param open_body: gives them when it is their turn.
        :raises StatusError: it was refused, or broke off.
        """
        sending = _Sending(name, offset)
        async with closing(sending.messages(open_body)) as messages:
            try:
                reply = await self._link.write(messages, metadata=metadata)
            except AlreadyExists:
                return  # a name for a blob says what its bytes are, so they are those
        sending.check(reply)

    async def _held(self, name: WriteName, metadata: Metadata) -> int | None:
        """How much of an upload the peer has, in bytes; None if it has the blob.

        All bytes of it are not the blob yet: the end may have been lost.
        """
        if name.compressor:
            return 0  # offsets of compressed uploads mean different things to different servers
        request = QueryWriteStatusRequest(resource_name=str(name))
        try:
            status = await self._link.unary(QUERY_WRITE_STATUS, request, metadata=metadata)
        except (NotFound, Unimplemented, InvalidArgument):
            return 0
        if status.complete:
            return None
        held: int = status.committed_size
        # What cannot be is no place to go on from.
        return held if 0 <= held <= name.digest.size_bytes else 0


class _Sending:
    """One Write.

    :param offset: the first byte that is sent.
    """

    def __init__(self, name: WriteName, offset: int) -> None:
        self._name = name
        self._begin = offset
        #: The write_offset of the next message; for what is compressed, a count of that.
        self._position = offset
        self._finished = False

    async def messages(
        self, open_body: Callable[[], Awaitable[IBlobBody]]
    ) -> AsyncIterator[WriteRequest]:
        """The messages, the last of them with finish_write.

        :param open_body: gives the bytes, when the first message is asked for.
        """
        compressed, size = bool(self._name.compressor), self._name.digest.size_bytes
        body, begin = await open_body(), self._begin
        pieces = zstd_chunks(body, begin) if compressed else closing(body.chunks(begin))
        async with pieces as chunks:
            async for chunk in chunks:
                for part in parts(chunk):
                    ends = not compressed and self._position + len(part) == size
                    yield self._message(bytes(part), ends=ends)
        # The end of what is compressed is known when it is there; that of nothing, at once.
        if compressed or begin == size:
            yield self._message(b"", ends=True)

    def check(self, reply: WriteResponse) -> None:
        """Whether the peer has the blob now.

        :raises Unavailable: it says that it took another number of bytes.
        """
        size, committed = self._name.digest.size_bytes, reply.committed_size
        right = {size}
        if self._name.compressor:
            # Servers disagree about which bytes to count (bazel#30000).
            right.add(_NOT_READ)
            if self._finished:
                right.add(self._position)
        if committed not in right:
            raise Unavailable(
                f"backing cache: blob {self._name.digest}: it took {committed} bytes of {size}"
            )

    def _message(self, data: bytes, *, ends: bool) -> WriteRequest:
        # Only the first message has to say what is written.
        name = str(self._name) if self._position == self._begin else ""
        message = WriteRequest(
            resource_name=name, write_offset=self._position, data=data, finish_write=ends
        )
        self._position += len(data)
        self._finished = ends
        return message
