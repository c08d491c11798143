"""A client made of grpcio's stubs, and the messages that tests send with it."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
import grpc.aio

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2_grpc as services
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from gorego_tw.pb.google.bytestream.bytestream_pb2_grpc import ByteStreamStub
from gorego_tw.pb.grpc.health.v1 import health_pb2
from gorego_tw.pb.grpc.health.v1.health_pb2_grpc import HealthStub

CALL_SECONDS = 60
MIB = 1 << 20

# A call without a deadline of its own gets one, so that a fault in the daemon is a failure
# of one test and not a test run that never ends. A pool of its own: a connection per client.
CHANNEL_OPTIONS = (
    (
        "grpc.service_config",
        json.dumps({"methodConfig": [{"name": [{}], "timeout": f"{CALL_SECONDS}s"}]}),
    ),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.initial_reconnect_backoff_ms", 50),
)


class Stubs:
    """Every service of the daemon, over one channel, synchronous or asyncio."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.capabilities = services.CapabilitiesStub(channel)
        self.cas = services.ContentAddressableStorageStub(channel)
        self.action_cache = services.ActionCacheStub(channel)
        self.byte_stream = ByteStreamStub(channel)
        self.health = HealthStub(channel)


def asyncio_channel(target: str, *options: tuple[str, Any]) -> Any:
    """A channel for ``async with``, on a connection of its own."""
    return grpc.aio.insecure_channel(target, options=(*CHANNEL_OPTIONS, *options))


class Client(Stubs):
    """A synchronous client on a connection of its own.

    :param target: where the daemon is, in the words of gRPC.
    :param options: options of the channel, beside those that all tests have.
    :param compression: what requests are compressed with.
    """

    def __init__(
        self,
        target: str,
        *options: tuple[str, Any],
        compression: grpc.Compression = grpc.Compression.NoCompression,
    ) -> None:
        super().__init__(
            grpc.insecure_channel(
                target, options=(*CHANNEL_OPTIONS, *options), compression=compression
            )
        )

    def close(self) -> None:
        """End the connection and its calls."""
        self.channel.close()

    def is_serving(self) -> bool:
        """Whether the daemon can be reached and says that it serves."""
        try:
            answer = self.health.Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def find_missing(self, digests: Iterable[reapi.Digest]) -> list[reapi.Digest]:
        """The digests of absent blobs."""
        request = reapi.FindMissingBlobsRequest(blob_digests=digests)
        return list(self.cas.FindMissingBlobs(request).missing_blob_digests)

    def batch_update(self, *blobs: bytes) -> list[reapi.Digest]:
        """Upload small blobs in one call.

        :returns: their digests.
        :raises AssertionError: one was not taken.
        """
        requests = [
            reapi.BatchUpdateBlobsRequest.Request(digest=digest_of(blob), data=blob)
            for blob in blobs
        ]
        answer = self.cas.BatchUpdateBlobs(reapi.BatchUpdateBlobsRequest(requests=requests))
        assert all(response.status.code == 0 for response in answer.responses), answer
        return [request.digest for request in requests]

    def upload(self, data: bytes) -> reapi.Digest:
        """Upload one blob of any size.

        :returns: its digest.
        """
        digest = digest_of(data)
        self.byte_stream.Write(write_requests(write_name(digest), data))
        return digest

    def read(self, resource_name: str, offset: int = 0, limit: int = 0) -> bytes:
        """All that one Read brings."""
        request = bytestream.ReadRequest(
            resource_name=resource_name, read_offset=offset, read_limit=limit
        )
        return b"".join(response.data for response in self.byte_stream.Read(request))

    def committed_size(self, resource_name: str) -> tuple[int, bool]:
        """What QueryWriteStatus says: how many bytes are held, and whether the blob is whole."""
        request = bytestream.QueryWriteStatusRequest(resource_name=resource_name)
        answer = self.byte_stream.QueryWriteStatus(request)
        return answer.committed_size, answer.complete


def digest_of(data: bytes) -> reapi.Digest:
    """The SHA-256 digest of ``data``."""
    return reapi.Digest(hash=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def read_name(digest: reapi.Digest, instance: str = "", kind: str = "blobs") -> str:
    """The resource name a blob is read under.

    :param kind: "blobs", "blobs/blake3", "compressed-blobs/zstd".
    """
    return "/".join(filter(None, (instance, kind, digest.hash, str(digest.size_bytes))))


def write_name(digest: reapi.Digest, instance: str = "", kind: str = "blobs") -> str:
    """A new resource name for an upload."""
    upload = f"uploads/{uuid.uuid4()}/{kind}"
    return "/".join(filter(None, (instance, upload, digest.hash, str(digest.size_bytes))))


def write_requests(
    resource_name: str, data: bytes, *, start: int = 0, finish: bool = True, piece: int = MIB
) -> Iterator[bytestream.WriteRequest]:
    """The messages of a Write of ``data`` from the byte ``start`` on.

    :param finish: False leaves the upload open.
    :param piece: the most bytes of data in a message.
    """
    offset = start
    while True:
        chunk = data[offset : offset + piece]
        last = offset + len(chunk) == len(data)
        yield bytestream.WriteRequest(
            resource_name=resource_name if offset == start else "",
            write_offset=offset,
            data=chunk,
            finish_write=last and finish,
        )
        offset += len(chunk)
        if last:
            return
