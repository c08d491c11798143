"""ContentAddressableStorage.BatchReadBlobs."""

from __future__ import annotations

from gorego_tw.digest import DigestFunction
from gorego_tw.errors import ResourceExhausted, StatusError
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.batch import check_count, gather, shown, status_of
from gorego_tw.reapi.compression import compress
from gorego_tw.reapi.digests import parse_function, parse_message
from gorego_tw.reapi.limits import Limits

_Answer = pb.BatchReadBlobsResponse.Response

#: Smaller blobs are not compressed: a frame and its decoding cost more than is saved, in bytes.
_WORTH_COMPRESSING = 1024
#: What is around the data and the hash: tags, lengths and the size, 3 + 3 + 11 + 5 + 5 and some.
_FRAMING = 40


class BatchRead:
    """One call.

    :param request: its message.
    """

    def __init__(
        self, request: pb.BatchReadBlobsRequest, blobs: IBlobAccess, limits: Limits
    ) -> None:
        self._request = request
        self._blobs = blobs
        self._limits = limits
        self._zstd = pb.Compressor.ZSTD in request.acceptable_compressors
        # Every blob may fail: what that takes is set aside, and data has what is left.
        aside = len(request.digests) * limits.max_batch_item_overhead_bytes
        self._left = limits.max_reply_bytes - aside

    async def reply(self) -> pb.BatchReadBlobsResponse:
        """One answer for each blob, in their order.

        Which blobs fit is settled by the sizes in their digests, before any is read.

        :raises InvalidArgument: too many blobs, or a digest function that is not served.
        """
        digests = self._request.digests
        check_count("digests", digests, self._limits)
        function = parse_function(self._request.digest_function)
        return pb.BatchReadBlobsResponse(
            responses=await gather(self._read(digest, function) for digest in digests)
        )

    async def _read(self, message: pb.Digest, function: DigestFunction | None) -> _Answer:
        try:
            digest = parse_message("digest", message, function)
            self._reserve(message)
            data = await (await self._blobs.get(digest)).read_all()
        except StatusError as error:
            return _Answer(digest=shown(message), status=status_of(error))
        if self._zstd and len(data) >= _WORTH_COMPRESSING:
            compressed = compress(data)
            if len(compressed) < len(data):
                return _Answer(digest=message, data=compressed, compressor=pb.Compressor.ZSTD)
        return _Answer(digest=message, data=data)

    def _reserve(self, message: pb.Digest) -> None:
        """Take the blob's share of the reply, beyond what is set aside for its failure."""
        needed = message.size_bytes + len(message.hash) + _FRAMING
        share = max(0, needed - self._limits.max_batch_item_overhead_bytes)
        if share > self._left:
            raise ResourceExhausted(
                f"{message.size_bytes} bytes do not fit into this reply of "
                f"{self._limits.max_reply_bytes}; ask again, or use ByteStream.Read"
            )
        self._left -= share
