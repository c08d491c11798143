"""Who calls and why, as the client says. Nothing in it is to be trusted."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from gorego_tw.grpc.router import Call
from gorego_tw.pb.build.bazel.remote.execution.v2.remote_execution_pb2 import RequestMetadata

#: The header, and the name it had before version 2, which Pants still sends.
HEADERS = (
    "build.bazel.remote.execution.v2.requestmetadata-bin",
    "google.devtools.remoteexecution.v1test.requestmetadata-bin",
)


def request_metadata(call: Call) -> RequestMetadata:
    """What the call carries; an empty message if that is nothing, or malformed."""
    for header in HEADERS:
        data = call.binary_metadata(header)
        if data:
            try:
                return RequestMetadata.FromString(data)
            except DecodeError:
                continue
    return RequestMetadata()
