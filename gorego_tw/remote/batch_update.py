"""ContentAddressableStorage.BatchUpdateBlobs, for all who write small blobs at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from google.rpc.status_pb2 import Status
from twisted.internet.interfaces import IReactorTime

from gorego_tw.digest import Digest
from gorego_tw.errors import Code, NotFound, StatusError, Unavailable
from gorego_tw.forwarding import Metadata
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.remote.batch_read import OVERHEAD_BYTES
from gorego_tw.remote.batching import Batcher
from gorego_tw.remote.capabilities import PeerCapabilities
from gorego_tw.remote.digests import message_of
from gorego_tw.remote.link import BATCH_UPDATE_BLOBS, Link
from gorego_tw.remote.status import error_of, not_reached
from gorego_tw.storage.blob_writer import verified
from gorego_tw.zstd.compression import compress

#: Smaller blobs are not compressed, in bytes: a frame and its expansion cost more than is saved.
_WORTH_COMPRESSING = 1024


class _Blob(NamedTuple):
    digest: Digest
    data: bytes


class BatchUpdate:
    """Writes small blobs.

    :param current: what the peer can.
    :param compression: whether blobs go compressed, if the peer takes that.
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
        self._current = current
        self._compression = compression
        self._batcher: Batcher[_Blob, StatusError | None] = Batcher(
            self._send,
            weigh=lambda blob: len(blob.data) + OVERHEAD_BYTES,
            most=lambda: current().max_batch_total_size_bytes,
            clock=clock,
        )

    async def __call__(self, digest: Digest, data: bytes) -> None:
        """Keep the blob there.

        It is verified here: of several who bring a blob in one turn the first is heard, and
        the answer, which is for all, has to be true of each.

        :raises DigestMismatch: the data is something else.
        :raises StatusError: it was refused; a failure of this blob alone is tried again.
        """
        backoff = self._link.retrying.backoff()
        blob = _Blob(digest, verified(digest, data))
        while (refusal := await self._batcher.ask(blob, digest.function)) is not None:
            await self._link.retrying.wait(backoff, refusal)

    async def _send(self, blobs: list[_Blob], metadata: Metadata) -> list[StatusError | None]:
        unique = {blob.digest: blob for blob in blobs}
        request = pb.BatchUpdateBlobsRequest(
            instance_name=self._instance_name,
            requests=map(self._message, unique.values()),
            digest_function=blobs[0].digest.function.name,
        )
        reply = await self._link.unary(BATCH_UPDATE_BLOBS, request, metadata=metadata)
        answers = {(one.digest.hash, one.digest.size_bytes): one.status for one in reply.responses}
        refusals: list[StatusError | None] = []
        for digest, _ in blobs:
            status = answers.get((digest.hash, digest.size_bytes))
            if status is None:
                refusals.append(Unavailable(f"backing cache: blob {digest}: not in the reply"))
            else:
                is_there = status.code in {Code.OK, Code.ALREADY_EXISTS}
                refusals.append(None if is_there else _refusal(status))
        return refusals

    def _message(self, blob: _Blob) -> pb.BatchUpdateBlobsRequest.Request:
        digest, data = blob
        message = pb.BatchUpdateBlobsRequest.Request(digest=message_of(digest), data=data)
        if (
            self._compression
            and self._current().batches_zstd
            and len(data) >= _WORTH_COMPRESSING
            and len(compressed := compress(data)) < len(data)
        ):
            message.data, message.compressor = compressed, pb.Compressor.ZSTD
        return message


def _refusal(status: Status) -> StatusError:
    error = error_of(status)
    return not_reached(error) if isinstance(error, NotFound) else error
