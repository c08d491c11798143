"""Daemons whose spans go to a collector of the test's own."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from gorego_tw.telemetry.export import BATCH
from tests.end_to_end.client import Client, digest_of, read_name, write_name, write_requests
from tests.end_to_end.collector import Collector
from tests.end_to_end.daemon import Daemon, DaemonTestCase, free_port
from tests.end_to_end.trace import ClientSpan

READ = "google.bytestream.ByteStream/Read"
WRITE = "google.bytestream.ByteStream/Write"
QUERY_WRITE_STATUS = "google.bytestream.ByteStream/QueryWriteStatus"
_REAPI = "build.bazel.remote.execution.v2."
FIND_MISSING = f"{_REAPI}ContentAddressableStorage/FindMissingBlobs"
BATCH_READ = f"{_REAPI}ContentAddressableStorage/BatchReadBlobs"
BATCH_UPDATE = f"{_REAPI}ContentAddressableStorage/BatchUpdateBlobs"
GET_TREE = f"{_REAPI}ContentAddressableStorage/GetTree"
GET_CAPABILITIES = f"{_REAPI}Capabilities/GetCapabilities"
GET_RESULT = f"{_REAPI}ActionCache/GetActionResult"
UPDATE_RESULT = f"{_REAPI}ActionCache/UpdateActionResult"

REQUEST_METADATA = "build.bazel.remote.execution.v2.requestmetadata-bin"

Metadata = Sequence[tuple[str, str | bytes]]


def telemetry(collector: Collector, **keys: str) -> dict[str, str]:
    """The environment of a daemon that exports to a collector.

    :param keys: more of the section of that name.
    """
    told = {"tracing_endpoint": collector.endpoint, **keys}
    return {f"GOREGO_TELEMETRY_{key.upper()}": text for key, text in told.items()}


def backing_cache(target: str, **keys: str) -> dict[str, str]:
    """The environment of a daemon before another cache."""
    told = {"target": target, **keys}
    return {f"GOREGO_BACKING_CACHE_{key.upper()}": text for key, text in told.items()}


class TracedTestCase(DaemonTestCase):
    """Tests with a collector of their own."""

    def make_collector(self, port: int = 0) -> Collector:
        """One that is closed after the test."""
        collector = Collector(port)
        self.addCleanup(collector.close)
        return collector

    def make_traced(self, collector: Collector, **settings: str) -> Daemon:
        """A daemon that exports to it, not started yet, whose pages have a port that is known.

        :param settings: environment variables, beside those.
        """
        daemon = self.make_daemon(**(telemetry(collector) | settings))
        daemon.metrics_addr = f"127.0.0.1:{free_port()}"
        return daemon


class Chain(NamedTuple):
    """A daemon behind another, and where both send their spans."""

    collector: Collector
    backing: Daemon
    front: Daemon

    def hurry(self) -> None:
        """Let the spans of both daemons so far leave now."""
        hurry(self.front, self.backing)

    def stop(self) -> None:
        """End all."""
        self.front.kill()
        self.backing.kill()
        self.collector.close()


@cache
def shared_chain() -> Chain:
    """The chain that all tests share which can, started by the first of them."""
    folder = tempfile.TemporaryDirectory(prefix="gorego-test-")
    atexit.register(folder.cleanup)
    collector = Collector()
    backing = _daemon(folder, "backing", **telemetry(collector))
    target = backing_cache(f"grpc://{backing.listen_addr}")
    front = _daemon(folder, "front", **telemetry(collector), **target)
    chain = Chain(collector, backing, front)
    atexit.register(chain.stop)
    backing.start()
    front.start()
    return chain


def _daemon(folder: tempfile.TemporaryDirectory[str], name: str, **settings: str) -> Daemon:
    own = Path(folder.name) / name
    own.mkdir()
    daemon = Daemon(own, **settings)
    daemon.metrics_addr = f"127.0.0.1:{free_port()}"
    return daemon


def hurry(*daemons: Daemon) -> None:
    """Let the spans so far leave now: a daemon waits for a second unless there are so many."""
    for daemon in daemons:
        with daemon.client() as client:
            for _ in range(BATCH):
                request = reapi.FindMissingBlobsRequest()
                client.cas.FindMissingBlobs(request, metadata=ClientSpan.new().traceparent())


def read(client: Client, digest: reapi.Digest, metadata: Metadata = ()) -> bytes:
    """Read a blob, with that metadata."""
    request = bytestream.ReadRequest(resource_name=read_name(digest))
    replies = client.byte_stream.Read(request, metadata=metadata)
    return b"".join(reply.data for reply in replies)


def write(client: Client, data: bytes, metadata: Metadata = ()) -> reapi.Digest:
    """Write a blob, with that metadata."""
    digest = digest_of(data)
    client.byte_stream.Write(write_requests(write_name(digest), data), metadata=metadata)
    return digest


def request_metadata(invocation: str = "", **fields: str) -> Metadata:
    """Who calls and why: Bazel, for that invocation.

    :param fields: others of RequestMetadata.
    """
    message = reapi.RequestMetadata(
        tool_details=reapi.ToolDetails(tool_name="bazel", tool_version="7.1.0"),
        tool_invocation_id=invocation or str(uuid4()),
        **fields,
    )
    return ((REQUEST_METADATA, message.SerializeToString()),)
