"""ContentAddressableStorage.BatchReadBlobs, for all who read small blobs at the same time."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, InvalidArgument, StatusError, Unavailable
from gorego_tw.forwarding import Metadata
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.remote.batching import Batcher
from gorego_tw.remote.capabilities import PeerCapabilities
from gorego_tw.remote.digests import message_of
from gorego_tw.remote.link import BATCH_READ_BLOBS, Link
from gorego_tw.remote.status import error_of
from gorego_tw.storage.blob_writer import verified
from gorego_tw.zstd.compression import Decompressor

#: What a blob has in request or reply beside its data, in bytes: a SHA-512 hash, a size, a status.
OVERHEAD_BYTES = 256


class BatchRead:
    """Reads small blobs.

    :param current: what the peer can.
    :param compression: whether blobs may come compressed.
    """

    def __init__(
        self,
        link: Link,
        instance_name: str,
        current: Callable[[], PeerCapabilities],
        *,
        compression: bool,
        clock: IReactorTime,
    ) -> None:
        self._link = link
        self._instance_name = instance_name
        self._compressors = [pb.Compressor.ZSTD] if compression else []
        self._batcher: Batcher[Digest, bytes | StatusError] = Batcher(
            self._send,
            weigh=lambda digest: digest.size_bytes + OVERHEAD_BYTES,
            most=lambda: current().max_batch_total_size_bytes,
            clock=clock,
        )

    async def __call__(self, digest: Digest) -> bytes:
        """The blob, verified.

        :raises NotFound: it is absent.
        :raises DataLoss: what came is something else.
        :raises StatusError: it cannot be read; a failure of this blob alone is tried again.
        """
        backoff = self._link.retrying.backoff()
        while isinstance(answer := await self._batcher.ask(digest, digest.function), StatusError):
            await self._link.retrying.wait(backoff, answer)
        return answer

    async def _send(self, digests: list[Digest], metadata: Metadata) -> list[bytes | StatusError]:
        request = pb.BatchReadBlobsRequest(
            instance_name=self._instance_name,
            digests=map(message_of, dict.fromkeys(digests)),
            acceptable_compressors=self._compressors,
            digest_function=digests[0].function.name,
        )
        reply = await self._link.unary(BATCH_READ_BLOBS, request, metadata=metadata)
        answers = {(one.digest.hash, one.digest.size_bytes): one for one in reply.responses}
        read: dict[Digest, bytes | StatusError] = {}
        for digest in dict.fromkeys(digests):
            read[digest] = _read(digest, answers.get((digest.hash, digest.size_bytes)))
        return [read[digest] for digest in digests]


def _read(digest: Digest, answer: pb.BatchReadBlobsResponse.Response | None) -> bytes | StatusError:
    if answer is None:
        return Unavailable(f"backing cache: blob {digest}: not in the reply")
    if answer.status.code:
        return error_of(answer.status)
    try:
        data = answer.data
        if answer.compressor == pb.Compressor.ZSTD:
            expanding = Decompressor(digest)
            data = b"".join(expanding.feed(data))
            expanding.finish()
        return verified(digest, data)
    except InvalidArgument as error:
        return DataLoss(f"backing cache: {error.message}")
