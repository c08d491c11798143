"""ContentAddressableStorage.BatchUpdateBlobs."""

from __future__ import annotations

from google.rpc.status_pb2 import Status

from gorego_tw.body import BytesBody
from gorego_tw.digest import Digest, DigestFunction
from gorego_tw.errors import InvalidArgument, ResourceExhausted, StatusError
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.batch import check_count, gather, shown, status_of
from gorego_tw.reapi.compression import Decompressor
from gorego_tw.reapi.digests import check_size, parse_function, parse_message
from gorego_tw.reapi.limits import Limits

_IDENTITY = pb.Compressor.IDENTITY
_ZSTD = pb.Compressor.ZSTD


class BatchUpdate:
    """One call.

    :param request: its message.
    """

    def __init__(
        self, request: pb.BatchUpdateBlobsRequest, blobs: IBlobAccess, limits: Limits
    ) -> None:
        self._request = request
        self._blobs = blobs
        self._limits = limits
        self._expandable = limits.max_batch_expanded_bytes

    async def reply(self) -> pb.BatchUpdateBlobsResponse:
        """One status for each blob, in their order.

        :raises InvalidArgument: the blobs are too large together, or too many.
        """
        items = self._request.requests
        check_count("requests", items, self._limits)
        self._check_total()
        function = parse_function(self._request.digest_function)
        statuses = await gather(self._update(item, function) for item in items)
        answer = pb.BatchUpdateBlobsResponse.Response
        return pb.BatchUpdateBlobsResponse(
            responses=[
                answer(digest=shown(item.digest), status=status)
                for item, status in zip(items, statuses, strict=True)
            ]
        )

    def _check_total(self) -> None:
        total = sum(len(item.data) for item in self._request.requests)
        largest = self._limits.max_batch_total_size_bytes
        if total > largest:
            raise InvalidArgument(
                f"requests: {total} bytes of data; a batch has {largest} at most "
                "(max_batch_total_size_bytes), larger blobs go through ByteStream.Write"
            )

    async def _update(
        self, item: pb.BatchUpdateBlobsRequest.Request, function: DigestFunction | None
    ) -> Status:
        try:
            digest = parse_message("digest", item.digest, function)
            check_size(digest, self._limits)
            await self._blobs.put(digest, BytesBody(self._expanded(item, digest)))
        except StatusError as error:
            return status_of(error)
        return Status()

    def _expanded(self, item: pb.BatchUpdateBlobsRequest.Request, digest: Digest) -> bytes:
        if item.compressor == _IDENTITY:
            return item.data
        if item.compressor != _ZSTD:
            raise InvalidArgument(f"compressor {item.compressor}; served are IDENTITY and ZSTD")
        self._expandable -= digest.size_bytes
        if self._expandable < 0:
            self._expandable += digest.size_bytes
            raise ResourceExhausted(
                f"digest of {digest.size_bytes} bytes: the compressed blobs of a batch expand to "
                f"{self._limits.max_batch_expanded_bytes} at most; use ByteStream.Write"
            )
        decompressor = Decompressor(digest)
        data = b"".join(decompressor.feed(item.data))
        decompressor.finish()
        return data
