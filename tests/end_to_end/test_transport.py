"""What gRPC promises beside the messages: compression, deadlines, limits, back-pressure."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import grpc
from google.rpc import status_pb2

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from gorego_tw.pb.grpc.health.v1 import health_pb2
from tests.end_to_end.client import (
    MIB,
    digest_of,
    read_name,
    write_name,
    write_requests,
)
from tests.end_to_end.daemon import SharedDaemonTestCase, eventually


class CompressionTests(SharedDaemonTestCase):
    """grpc-encoding."""

    def test_gzip_requests(self) -> None:
        """Requests compressed with gzip are understood, unary and streamed."""
        client = self.connect(self.daemon, compression=grpc.Compression.Gzip)
        data = b"squeeze me " * 300_000
        digest = client.upload(data)
        self.assertEqual(client.find_missing([digest]), [])
        self.assertEqual(client.read(read_name(digest)), data)

    def test_unknown_encoding(self) -> None:
        """Another encoding is UNIMPLEMENTED, and the answer says what is accepted."""
        client = self.connect(self.daemon, compression=grpc.Compression.Deflate)
        with self.assertRaises(grpc.RpcError) as raised:
            client.find_missing([digest_of(b"x" * n) for n in range(50)])
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED)


class DeadlineTests(SharedDaemonTestCase):
    """Deadlines and cancellation."""

    def test_deadline_of_a_stream(self) -> None:
        """A call that outlives its deadline ends with DEADLINE_EXCEEDED, and the next one works."""
        watch = self.client.health.Watch(health_pb2.HealthCheckRequest(), timeout=0.3)
        started = time.monotonic()
        with self.assertRaises(grpc.RpcError) as raised:
            list(watch)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertLess(time.monotonic() - started, 5)
        self.assertTrue(self.client.is_serving())

    def test_deadline_of_an_upload(self) -> None:
        """An upload that stalls beyond its deadline is ended; what it sent can be resumed."""
        data = os.urandom(MIB)
        name = write_name(digest_of(data))
        stalled = threading.Event()
        self.addCleanup(stalled.set)

        def stalling() -> Iterator[bytestream.WriteRequest]:
            yield from write_requests(name, data[:1000], finish=False)
            stalled.wait()

        with self.assertRaises(grpc.RpcError) as raised:
            self.client.byte_stream.Write(stalling(), timeout=0.5)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        eventually(lambda: self.client.committed_size(name) == (1000, False), "1000 bytes held", 5)

    def test_cancelled_read(self) -> None:
        """A Read that is cancelled half-way ends, and the connection goes on."""
        digest = self.client.upload(os.urandom(20 * MIB))
        call = self.client.byte_stream.Read(bytestream.ReadRequest(resource_name=read_name(digest)))
        next(call)
        call.cancel()
        with self.assertRaises(grpc.RpcError) as raised:
            list(call)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.CANCELLED)
        self.assertEqual(len(self.client.read(read_name(digest))), 20 * MIB)


class LimitTests(SharedDaemonTestCase):
    """Messages, metadata and clients of any size."""

    def test_message_under_the_limit(self) -> None:
        """A message of nearly 16 MiB is accepted."""
        data = os.urandom(15 * MIB)
        self.client.byte_stream.Write(
            write_requests(write_name(digest_of(data)), data, piece=15 * MIB)
        )
        self.assertEqual(self.client.find_missing([digest_of(data)]), [])

    def test_message_over_the_limit(self) -> None:
        """A message of more than 16 MiB is RESOURCE_EXHAUSTED, and the connection goes on."""
        data = bytes(17 * MIB)
        name = write_name(digest_of(data))
        with self.assertRaises(grpc.RpcError) as raised:
            self.client.byte_stream.Write(write_requests(name, data, piece=len(data)))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertTrue(self.client.is_serving())

    def test_status_details(self) -> None:
        """A failure has a google.rpc.Status in its trailers, with the same code and message."""
        with self.assertRaises(grpc.RpcError) as raised:
            self.client.read("blobs/a/1")
        error = raised.exception
        trailers = dict(error.trailing_metadata())
        if "grpc-status-details-bin" in trailers:
            status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
            self.assertEqual(
                (status.code, status.message), (error.code().value[0], error.details())
            )

    def test_many_digests(self) -> None:
        """FindMissingBlobs answers 40,000 digests in one call: more than 2 MiB both ways."""
        client = self.connect(self.daemon, ("grpc.max_receive_message_length", 16 * MIB))
        digests = [digest_of(b"many digests: %d" % n) for n in range(40_000)]
        self.assertEqual(client.find_missing(digests), digests)

    def test_request_metadata_of_any_kind(self) -> None:
        """Request metadata, also malformed or large, never fails a call."""
        names = (
            "build.bazel.remote.execution.v2.requestmetadata-bin",
            "google.devtools.remoteexecution.v1test.requestmetadata-bin",
        )
        good = reapi.RequestMetadata(
            tool_details=reapi.ToolDetails(tool_name="bazel", tool_version="9.0"),
            action_id="a" * 64,
        ).SerializeToString()
        for name in names:
            for value in (good, b"", b"\xff" * 30, os.urandom(5_000)):
                self.client.capabilities.GetCapabilities(
                    reapi.GetCapabilitiesRequest(), metadata=((name, value),)
                )


class BackPressureTests(SharedDaemonTestCase):
    """Clients that are slower than the daemon."""

    def test_client_that_does_not_read(self) -> None:
        """Fifty large Reads that nobody reads cost the daemon a bounded amount of memory."""
        digest = self.client.upload(os.urandom(64 * MIB))
        request = bytestream.ReadRequest(resource_name=read_name(digest))
        self.daemon.reset_peak_memory()
        before = self.daemon.memory_bytes("VmRSS")
        calls = [
            self.connect(self.daemon, ("grpc.http2.bdp_probe", 0)).byte_stream.Read(request)
            for _ in range(50)
        ]
        for call in calls:
            next(call)
        for _ in range(200):
            self.assertTrue(self.client.is_serving())
        self.assertLess(self.daemon.memory_bytes("VmHWM") - before, 100 * MIB)
        for call in calls:
            call.cancel()

    def test_slow_reader_gets_everything(self) -> None:
        """A Read that pauses while others run still brings the whole blob."""
        data = os.urandom(8 * MIB)
        digest = self.client.upload(data)
        call = self.client.byte_stream.Read(bytestream.ReadRequest(resource_name=read_name(digest)))
        got = [next(call).data]
        for _ in range(5):
            self.assertEqual(self.client.read(read_name(digest)), data)
        got += [response.data for response in call]
        self.assertEqual(b"".join(got), data)
