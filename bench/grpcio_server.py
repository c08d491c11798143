"""What the daemon is compared with: the same answers from memory, by grpc.aio on uvloop.

``python -m bench.grpcio_server PORT``. It does the least that a server made with grpcio can
do: it parses the request, looks the answer up in a dict, and sends bytes that were
serialized beforehand. It keeps no store and checks nothing.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from itertools import starmap
from typing import Any

import grpc
import grpc.aio
import uvloop

from bench import content
from gorego_tw.pb.build.bazel.remote.execution.v2.remote_execution_pb2 import (
    FindMissingBlobsRequest,
    FindMissingBlobsResponse,
    GetActionResultRequest,
)
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadResponse

REAPI = "build.bazel.remote.execution.v2"


def get_action_result() -> Callable[..., Any]:
    """GetActionResult: a hit from a dict."""
    wanted = content.get_action_result()
    key = (wanted.instance_name, wanted.action_digest.hash, wanted.action_digest.size_bytes)
    results = {key: content.action_result().SerializeToString()}

    async def answer(request: GetActionResultRequest, _context: grpc.aio.ServicerContext) -> bytes:
        digest = request.action_digest
        return results[request.instance_name, digest.hash, digest.size_bytes]

    return answer


def find_missing_blobs() -> Callable[..., Any]:
    """FindMissingBlobs: a set of digests."""
    digests = map(content.digest_of, content.known_blobs())
    known = {(digest.hash, digest.size_bytes) for digest in digests}

    async def answer(request: FindMissingBlobsRequest, _context: grpc.aio.ServicerContext) -> bytes:
        missing = [d for d in request.blob_digests if (d.hash, d.size_bytes) not in known]
        return FindMissingBlobsResponse(missing_blob_digests=missing).SerializeToString()

    return answer


def read() -> Callable[..., Any]:
    """Read: messages of 1 MiB, each the same bytes."""
    message = ReadResponse(data=bytes(content.PIECE_BYTES)).SerializeToString()
    count = content.BLOB_BYTES // content.PIECE_BYTES

    async def answer(_request: bytes, _context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield message

    return answer


def services() -> tuple[grpc.GenericRpcHandler, ...]:
    """The methods of this server."""
    unary = grpc.unary_unary_rpc_method_handler
    methods = {
        f"{REAPI}.ActionCache": {
            "GetActionResult": unary(get_action_result(), GetActionResultRequest.FromString)
        },
        f"{REAPI}.ContentAddressableStorage": {
            "FindMissingBlobs": unary(find_missing_blobs(), FindMissingBlobsRequest.FromString)
        },
        "google.bytestream.ByteStream": {"Read": grpc.unary_stream_rpc_method_handler(read())},
    }
    return tuple(starmap(grpc.method_handlers_generic_handler, methods.items()))


async def serve(port: int) -> None:
    """Listen on the loopback interface, for ever."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(services())
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
