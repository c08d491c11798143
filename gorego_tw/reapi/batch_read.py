"""ContentAddressableStorage.BatchReadBlobs."""

from __future__ import annotations

from gorego_tw.concurrency import closing, gather
from gorego_tw.digest import DigestFunction
from gorego_tw.errors import ResourceExhausted, StatusError
from gorego_tw.interfaces import IBlobAccess, ICompressedBody
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.batch import Answers
from gorego_tw.reapi.digests import parse_function, parse_message
from gorego_tw.reapi.limits import Limits
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.turns import Turns
from gorego_tw.zstd.compression import PIECE_BYTES, compress, kept_compressed

_Answer = pb.BatchReadBlobsResponse.Response

#: Reading a small blob takes as long as reading so many digests.
_WORTH = 16
#: Smaller blobs are not compressed: a frame and its decoding cost more than is saved, in bytes.
_WORTH_COMPRESSING = 1024
#: What is around the data and the hash: tags, lengths and the size, 3 + 3 + 11 + 5 + 5 and some.
_FRAMING = 40


class BatchRead:
    """One call.

    :param request: its message.
    :param threads: where large blobs are compressed: 4 MB take 12 ms.
    :param turns: in which they are read.
    :raises InvalidArgument: too many blobs.
    """

    def __init__(
        self,
        request: pb.BatchReadBlobsRequest,
        blobs: IBlobAccess,
        limits: Limits,
        threads: DiskThreads,
        turns: Turns,
    ) -> None:
        self._request = request
        self._blobs = blobs
        self._limits = limits
        self._threads = threads
        self._turns = turns.of_one_call()
        self._zstd = pb.Compressor.ZSTD in request.acceptable_compressors
        self._answers = Answers("digests", request.digests, limits)
        # Every blob may fail: what that takes is set aside, and data has what is left.
        aside = len(request.digests) * self._answers.item_bytes
        self._left = limits.max_reply_bytes - aside

    async def reply(self) -> pb.BatchReadBlobsResponse:
        """One answer for each blob, in their order.

        Which blobs fit is settled by the sizes in their digests, whether they exist or not.

        :raises InvalidArgument: a digest function that is not served.
        """
        function = parse_function(self._request.digest_function)
        return pb.BatchReadBlobsResponse(
            responses=await gather(self._read(digest, function) for digest in self._request.digests)
        )

    async def _read(self, message: pb.Digest, function: DigestFunction | None) -> _Answer:
        try:
            try:
                digest = parse_message("digest", message, function)
                self._reserve(message)  # in their order, in which they begin but do not all go on
            finally:
                await self._turns.after(_WORTH)
            body = await self._blobs.get(digest)
            kept = kept_compressed(body) if self._zstd else None
            if kept is not None and kept.is_one_frame:
                frame = await _frame(kept)
                return _Answer(digest=message, data=frame, compressor=pb.Compressor.ZSTD)
            data = await body.read_all()
        except StatusError as error:
            status = self._answers.status(message, error)
            return _Answer(digest=self._answers.digest(message), status=status)
        if self._zstd and len(data) >= _WORTH_COMPRESSING:
            compressed = await self._compressed(data)
            if len(compressed) < len(data):
                return _Answer(digest=message, data=compressed, compressor=pb.Compressor.ZSTD)
        return _Answer(digest=message, data=data)

    async def _compressed(self, data: bytes) -> bytes:
        if len(data) <= PIECE_BYTES:
            return compress(data)
        return await self._threads.run(compress, data)

    def _reserve(self, message: pb.Digest) -> None:
        """Take the blob's share of the reply, beyond what is set aside for its failure."""
        needed = message.size_bytes + len(message.hash) + _FRAMING
        share = max(0, needed - self._answers.item_bytes)
        if share > self._left:
            raise ResourceExhausted(
                f"{message.size_bytes} bytes do not fit into this reply of "
                f"{self._limits.max_reply_bytes}; ask again, or use ByteStream.Read"
            )
        self._left -= share


async def _frame(body: ICompressedBody) -> bytes:
    async with closing(body.zstd_chunks()) as pieces:
        return b"".join([bytes(piece) async for piece in pieces])
