"""ByteStream.Read of one blob."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, InvalidArgument
from gorego_tw.forwarding import Metadata
from gorego_tw.interfaces import IBlobBody
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadRequest
from gorego_tw.remote.bulk.room import Room
from gorego_tw.remote.link import Link
from gorego_tw.remote.resuming import RemoteBody, Resuming
from gorego_tw.resource_name import Compressor, ReadName
from gorego_tw.zstd.compression import Decompressor

#: Blobs of so many bytes are read over connections of their own. For smaller ones a connection more
#: costs what it saves.
BULK_BYTES = 1024 * 1024


class Reading:
    """Opens streams."""

    def __init__(self, link: Link, instance_name: str) -> None:
        self.resuming = Resuming(link.retrying)
        self._link = link
        self._instance_name = instance_name

    async def open(self, digest: Digest, compressor: Compressor, metadata: Metadata) -> IBlobBody:
        """The blob, of which the first piece has arrived.

        :raises NotFound: it is absent.
        """
        name = ReadName(self._instance_name, digest, compressor)
        room = Room()

        def attempt(offset: int) -> AsyncGenerator[bytes | memoryview, None]:
            return self._attempt(name, offset, metadata, room)

        return await RemoteBody(digest, attempt, self.resuming, room).begin()

    async def _attempt(
        self, name: ReadName, offset: int, metadata: Metadata, room: Room
    ) -> AsyncGenerator[bytes | memoryview, None]:
        request = ReadRequest(resource_name=str(name), read_offset=offset)
        is_bulk = not name.compressor and name.digest.size_bytes - offset >= BULK_BYTES
        reading = self._link.read(request, metadata=metadata, room=room if is_bulk else None)
        async with closing(reading) as pieces:
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
