"""ContentAddressableStorage.BatchUpdateBlobs."""

from __future__ import annotations

from google.rpc.status_pb2 import Status

from gorego_tw.body import BytesBody
from gorego_tw.concurrency import gather
from gorego_tw.digest import Digest, DigestFunction
from gorego_tw.errors import InvalidArgument, ResourceExhausted, StatusError
from gorego_tw.interfaces import IBlobAccess, IBlobBody
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.batch import Answers
from gorego_tw.reapi.digests import check_size, parse_function, parse_message
from gorego_tw.reapi.limits import Limits
from gorego_tw.turns import Turns
from gorego_tw.zstd.expanded_body import ExpandedBody

#: Keeping a small blob takes as long as reading so many digests.
_WORTH = 100

_IDENTITY = pb.Compressor.IDENTITY
_ZSTD = pb.Compressor.ZSTD
_Item = pb.BatchUpdateBlobsRequest.Request
_Answer = pb.BatchUpdateBlobsResponse.Response


class BatchUpdate:
    """One call.

    :param request: its message.
    :param turns: in which they are taken.
    :raises InvalidArgument: the blobs are too large together, or too many.
    """

    def __init__(
        self,
        request: pb.BatchUpdateBlobsRequest,
        blobs: IBlobAccess,
        limits: Limits,
        turns: Turns,
    ) -> None:
        self._request = request
        self._blobs = blobs
        self._limits = limits
        self._turns = turns.of_one_call()
        self._expandable = limits.max_batch_expanded_bytes
        self._answers = Answers("requests", request.requests, limits)
        self._check_total()

    async def reply(self) -> pb.BatchUpdateBlobsResponse:
        """One status for each blob, in their order.

        :raises InvalidArgument: a digest function that is not served.
        """
        function = parse_function(self._request.digest_function)
        return pb.BatchUpdateBlobsResponse(
            responses=await gather(self._update(item, function) for item in self._request.requests)
        )

    def _check_total(self) -> None:
        total = sum(len(item.data) for item in self._request.requests)
        largest = self._limits.max_batch_total_size_bytes
        if total > largest:
            raise InvalidArgument(
                f"requests: {total} bytes of data; a batch has {largest} at most "
                "(max_batch_total_size_bytes), larger blobs go through ByteStream.Write"
            )

    async def _update(self, item: _Item, function: DigestFunction | None) -> _Answer:
        try:
            try:
                digest = parse_message("digest", item.digest, function)
                check_size(digest, self._limits)
                # What may expand is settled in their order, in which they begin but do not all go on.
                body = self._body(item, digest)
            finally:
                await self._turns.after(_WORTH)
            await self._blobs.put(digest, body)
            status = Status()
        except StatusError as error:
            status = self._answers.status(item.digest, error)
        return _Answer(digest=self._answers.digest(item.digest), status=status)

    def _body(self, item: _Item, digest: Digest) -> IBlobBody:
        data = BytesBody(item.data)
        if item.compressor == _IDENTITY:
            return data
        if item.compressor != _ZSTD:
            raise InvalidArgument(f"compressor {item.compressor}; served are IDENTITY and ZSTD")
        if digest.size_bytes > self._expandable:
            raise ResourceExhausted(
                f"digest of {digest.size_bytes} bytes: the compressed blobs of a batch expand to "
                f"{self._limits.max_batch_expanded_bytes} at most; use ByteStream.Write"
            )
        self._expandable -= digest.size_bytes
        return ExpandedBody(digest, data.chunks())
