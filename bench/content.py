"""What is stored and asked for: the same in every run and in every process."""

from __future__ import annotations

import hashlib

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream

INSTANCE_NAME = "bench"
BLOB_BYTES = 64 << 20
PIECE_BYTES = 1 << 20
DIGEST_COUNT = 1000

# Sizes of the outputs of the action, in bytes: both sides of what an index may hold inside.
OUTPUT_BYTES = (120, 900, 2_500, 40_000, 300_000)


def some_bytes(name: str, size: int) -> bytes:
    """Bytes that no compressor makes smaller, the same for the same name."""
    return hashlib.shake_256(name.encode()).digest(size)


def digest_of(data: bytes) -> reapi.Digest:
    """The SHA-256 digest."""
    return reapi.Digest(hash=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def outputs() -> list[bytes]:
    """The blobs that the action result refers to; the last is its stdout."""
    names = [f"output {n}" for n in range(len(OUTPUT_BYTES))]
    return [some_bytes(name, size) for name, size in zip(names, OUTPUT_BYTES, strict=True)] + [
        b"stdout of the action\n"
    ]


def action_result() -> reapi.ActionResult:
    """What an ordinary action leaves: some files, its stdout, its times."""
    *files, stdout = outputs()
    return reapi.ActionResult(
        output_files=[
            reapi.OutputFile(
                path=f"bazel-out/k8-fastbuild/bin/some/package/output{n}.o",
                digest=digest_of(data),
                is_executable=n == 0,
            )
            for n, data in enumerate(files)
        ],
        stdout_digest=digest_of(stdout),
        execution_metadata=reapi.ExecutedActionMetadata(
            worker="worker-1",
            worker_start_timestamp=Timestamp(seconds=1_700_000_000, nanos=1),
            worker_completed_timestamp=Timestamp(seconds=1_700_000_003, nanos=2),
        ),
    )


def get_action_result() -> reapi.GetActionResultRequest:
    """The request for it, as Bazel sends it."""
    action = digest_of(b"the action")
    return reapi.GetActionResultRequest(instance_name=INSTANCE_NAME, action_digest=action)


def known_blobs() -> list[bytes]:
    """The small blobs whose digests FindMissingBlobs is asked about; all are stored."""
    return [b"small blob %d" % n for n in range(DIGEST_COUNT)]


def find_missing_blobs() -> reapi.FindMissingBlobsRequest:
    """The question for all of them."""
    return reapi.FindMissingBlobsRequest(
        instance_name=INSTANCE_NAME, blob_digests=map(digest_of, known_blobs())
    )


def large_blob() -> bytes:
    """The blob of the bulk reads."""
    return some_bytes("large blob", PIECE_BYTES) * (BLOB_BYTES // PIECE_BYTES)


def read() -> bytestream.ReadRequest:
    """The request for it."""
    digest = digest_of(large_blob())
    name = f"{INSTANCE_NAME}/blobs/{digest.hash}/{digest.size_bytes}"
    return bytestream.ReadRequest(resource_name=name)


def framed(message: Message) -> bytes:
    """The message as gRPC frames it: not compressed, its length, itself."""
    data = message.SerializeToString()
    return b"\0" + len(data).to_bytes(4, "big") + data
