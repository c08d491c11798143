"""google.bytestream.ByteStream: blobs of any size, in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from zope.interface import implementer

from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest, empty_digest
from gorego_tw.errors import InvalidArgument
from gorego_tw.grpc.router import (
    Buffers,
    Call,
    IRPCService,
    Method,
    client_streaming,
    server_streaming,
    unary,
)
from gorego_tw.interfaces import IBlobAccess, IUploads
from gorego_tw.pb.google.bytestream.bytestream_pb2 import (
    QueryWriteStatusRequest,
    QueryWriteStatusResponse,
    ReadRequest,
    WriteRequest,
    WriteResponse,
)
from gorego_tw.reapi.committed_size import NOT_READ, compressed_committed_size
from gorego_tw.reapi.compressed_writing import write_compressed
from gorego_tw.reapi.digests import check_size
from gorego_tw.reapi.limits import Limits
from gorego_tw.reapi.reading import check_range, replies
from gorego_tw.reapi.writing import Messages, write_identity
from gorego_tw.resource_name import Compressor, WriteName, parse_read_name, parse_write_name

_SERVICE = "/google.bytestream.ByteStream/"
#: A client may repeat the resource name here, for whoever routes calls.
_NAME_HEADER = "build.bazel.remote.execution.v2.resource-name"


@implementer(IRPCService)
class ByteStream:
    """Reads and writes blobs.

    :param blobs: where they are read, and written compressed ones to.
    :param uploads: where others are kept until they are whole.
    :param limits: says how large a blob may be.
    """

    def __init__(self, blobs: IBlobAccess, uploads: IUploads, limits: Limits) -> None:
        self._blobs = blobs
        self._uploads = uploads
        self._limits = limits

    def methods(self) -> Mapping[str, Method]:
        """Read, Write and QueryWriteStatus."""
        return {
            f"{_SERVICE}Read": server_streaming(ReadRequest, self.read),
            f"{_SERVICE}Write": client_streaming(WriteRequest, self.write),
            f"{_SERVICE}QueryWriteStatus": unary(QueryWriteStatusRequest, self.query_write_status),
        }

    async def read(self, request: ReadRequest, call: Call) -> AsyncIterator[Buffers]:
        """A blob, or a part of it.

        :raises InvalidArgument: a malformed name, a limit that is none.
        :raises OutOfRange: an offset that is not in the blob.
        :raises NotFound: the blob is absent.
        """
        _check_header(request.resource_name, call)
        name = parse_read_name(request.resource_name)
        check_range(request, name)
        body = await self._blobs.get(name.digest)
        async with closing(replies(body, request, name)) as pieces:
            async for piece in pieces:
                yield piece

    async def write(self, requests: AsyncIterator[WriteRequest], call: Call) -> WriteResponse:
        """Keep a blob; at once, without reading on, if it is there already.

        :raises InvalidArgument: a malformed name, too large, an offset that leaves a gap, a
            stream that does not end with finish_write.
        :raises DigestMismatch: not the blob announced.
        :raises ResourceExhausted: no room.
        """
        first = await anext(requests, None)
        if first is None:
            raise InvalidArgument("no message; the first has to have a resource_name")
        _check_header(first.resource_name, call)
        name = parse_write_name(first.resource_name)
        check_size(name.digest, self._limits)
        if await self._is_needless(name.digest):
            return _not_read(name)
        messages = Messages(first, requests)
        if name.compressor is Compressor.ZSTD:
            size = await write_compressed(name, messages, self._blobs)
            if size is None:
                return _not_read(name)
            size = compressed_committed_size(call, size, name.digest.size_bytes)
        else:
            upload = await self._uploads.open(str(name), name.digest)
            size = await write_identity(name, messages, upload)
        return WriteResponse(committed_size=size)

    async def query_write_status(
        self, request: QueryWriteStatusRequest, call: Call
    ) -> QueryWriteStatusResponse:
        """How far an upload has come; 0 bytes for one never heard of.

        That is not NOT_FOUND, as bytestream.proto has it: Bazel takes any
        failure for "go on where you were", which nobody can after a restart.

        :raises InvalidArgument: a malformed name.
        """
        _check_header(request.resource_name, call)
        name = parse_write_name(request.resource_name)
        if await self._is_needless(name.digest):
            return QueryWriteStatusResponse(committed_size=name.digest.size_bytes, complete=True)
        if name.compressor is Compressor.ZSTD:
            return QueryWriteStatusResponse()
        held = await self._uploads.committed_size(str(name))
        return QueryWriteStatusResponse(committed_size=held)

    async def _is_needless(self, digest: Digest) -> bool:
        return digest == empty_digest(digest.function) or await self._uploads.is_needless(digest)


def _not_read(name: WriteName) -> WriteResponse:
    """The reply if the blob is there already."""
    size = NOT_READ if name.compressor else name.digest.size_bytes
    return WriteResponse(committed_size=size)


def _check_header(resource_name: str, call: Call) -> None:
    header = call.metadata(_NAME_HEADER)
    if header is not None and header != resource_name:
        raise InvalidArgument(
            f"{_NAME_HEADER} is {header[:300]!r}, the message's resource_name is "
            f"{resource_name[:300]!r}; they have to be the same"
        )
