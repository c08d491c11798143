"""ByteStream.Read of one blob, gone on with where it broke off."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Self

from zope.interface import implementer

from gorego_tw.body import parts
from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, InvalidArgument, StatusError, Unavailable
from gorego_tw.forwarding import Metadata
from gorego_tw.interfaces import IBlobBody
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadRequest
from gorego_tw.remote.link import Link
from gorego_tw.resource_name import Compressor, ReadName
from gorego_tw.storage.blob_writer import verified
from gorego_tw.zstd.compression import Decompressor


class Reading:
    """Opens streams.

    :ivar resumed: how often a stream that broke off was gone on with.
    """

    def __init__(self, link: Link, instance_name: str) -> None:
        self.resumed = 0
        self._link = link
        self._instance_name = instance_name

    async def open(self, digest: Digest, compressor: Compressor, metadata: Metadata) -> IBlobBody:
        """The blob, of which the first piece has arrived.

        :raises NotFound: it is absent.
        """
        name = ReadName(self._instance_name, digest, compressor)
        return await RemoteBody(name, self, metadata).begin()

    async def stream(
        self, name: ReadName, offset: int, metadata: Metadata
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from ``offset`` on, up to the last, however often it breaks off.

        :raises DataLoss: there are more than the digest announces.
        :raises StatusError: it broke off too often without progress.
        """
        size = name.digest.size_bytes
        backoff = self._link.retrying.backoff()
        while True:
            try:
                async with closing(self._attempt(name, offset, metadata)) as pieces:
                    async for piece in pieces:
                        if offset + len(piece) > size:
                            raise DataLoss(
                                f"backing cache: blob {name.digest}: more data than that"
                            )
                        offset += len(piece)
                        if piece:
                            backoff.reset()
                            yield piece
                if offset == size:
                    return
                raise Unavailable(
                    f"backing cache: blob {name.digest}: the stream ended after {offset} bytes"
                )
            except StatusError as error:
                await self._link.retrying.wait(backoff, error)
                self.resumed += 1

    async def _attempt(
        self, name: ReadName, offset: int, metadata: Metadata
    ) -> AsyncGenerator[bytes, None]:
        request = ReadRequest(resource_name=str(name), read_offset=offset)
        async with closing(self._link.read(request, metadata=metadata)) as pieces:
            if not name.compressor:
                async for piece in pieces:
                    yield piece
                return
            digest = name.digest._replace(size_bytes=name.digest.size_bytes - offset)
            expanding = Decompressor(digest)
            async for piece in pieces:
                try:
                    for expanded in expanding.feed(piece):
                        yield expanded
                except InvalidArgument as error:
                    raise DataLoss(f"backing cache: blob {name.digest}: {error.message}") from error


@implementer(IBlobBody)
class RemoteBody:
    """A blob on its way. Its hash is verified by :meth:`read_all` alone: whoever takes the pieces
    keeps them, and verifies what is kept.
    """

    def __init__(self, name: ReadName, reading: Reading, metadata: Metadata) -> None:
        self.size_bytes = name.digest.size_bytes
        self._name = name
        self._reading = reading
        self._metadata = metadata
        self._stream = reading.stream(name, 0, metadata)
        self._first: bytes | None = None

    async def begin(self) -> Self:
        """Wait for the first piece, so that it is known that the blob is there."""
        self._first = await anext(self._stream)
        return self

    async def chunks(self, offset: int = 0) -> AsyncIterator[bytes | memoryview]:
        """Pieces of up to PIECE_BYTES from ``offset`` on."""
        stream = self._stream
        if offset:
            await stream.aclose()
            stream = self._reading.stream(self._name, offset, self._metadata)
        async with closing(stream) as pieces:
            if not offset and self._first is not None:
                for part in parts(self._first):
                    yield part
            async for piece in pieces:
                for part in parts(piece):
                    yield part

    async def read_all(self) -> bytes:
        """The whole blob.

        :raises DataLoss: it has another hash.
        """
        data = b"".join([piece async for piece in self.chunks()])
        try:
            return verified(self._name.digest, data)
        except InvalidArgument as error:
            raise DataLoss(f"backing cache: {error.message}") from error

    def discard(self) -> None:
        """Break the stream off."""
        # Closing has nothing to wait for: the call is cancelled on the way out.
        with suppress(StopIteration):
            self._stream.aclose().send(None)
