"""The span of a call: what it is called, and what an operator can filter by."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from gorego_tw import __version__
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from tests.end_to_end.client import digest_of, read_name, write_name, write_requests
from tests.end_to_end.collector import attributes
from tests.end_to_end.trace import SERVER, ClientSpan, Trace, arrived
from tests.end_to_end.traced import (
    BATCH_READ,
    BATCH_UPDATE,
    FIND_MISSING,
    GET_CAPABILITIES,
    GET_RESULT,
    GET_TREE,
    QUERY_WRITE_STATUS,
    READ,
    UPDATE_RESULT,
    WRITE,
    TracedTestCase,
    hurry,
    read,
    request_metadata,
    shared_chain,
    write,
)


class ServerSpanTestCase(TracedTestCase):
    """Calls to a daemon with a local tier alone, all in one trace."""

    def setUp(self) -> None:
        super().setUp()
        self.chain = shared_chain()
        self.client = self.connect(self.chain.backing)
        self.span = ClientSpan.new()
        self.headers = self.span.traceparent()

    def trace(self, *methods: str) -> Trace:
        """The trace, which has a span of each method, as a child of the client's."""

        def is_whole(trace: Trace) -> bool:
            return set(methods) <= set(trace.names)

        hurry(self.chain.backing)
        trace = arrived(self.chain.collector, self.span.trace_id, is_whole)
        spans = [trace.one(method, SERVER) for method in methods]
        self.assertEqual({span.parent_span_id.hex() for span in spans}, {self.span.span_id})
        return trace


class FactsTests(ServerSpanTestCase):
    """What is told of a call."""

    def test_who_and_what(self) -> None:
        """It has the conventions for RPC, and what the client says of tool, invocations, action and target."""
        invocation = "7e1c3e2a-77a5-4b1c-8c5c-1d1f0f4c2f00"
        who = request_metadata(
            invocation,
            correlated_invocations_id="nightly-17",
            action_id="a1",
            action_mnemonic="CppCompile",
            target_id="//x:y",
        )
        self.client.cas.FindMissingBlobs(
            reapi.FindMissingBlobsRequest(), metadata=(*self.headers, *who)
        )
        span = self.trace(FIND_MISSING).one(FIND_MISSING)
        told, expected = (
            attributes(span),
            {
                "rpc.system": "grpc",
                "rpc.service": "build.bazel.remote.execution.v2.ContentAddressableStorage",
                "rpc.method": "FindMissingBlobs",
                "rpc.grpc.status_code": 0,
                "reapi.tool.name": "bazel",
                "reapi.tool.version": "7.1.0",
                "reapi.tool_invocation_id": invocation,
                "reapi.correlated_invocations_id": "nightly-17",
                "reapi.action_id": "a1",
                "reapi.action_mnemonic": "CppCompile",
                "reapi.target_id": "//x:y",
            },
        )
        self.assertEqual({key: told.get(key) for key in expected}, expected)
        self.assertRegex(str(told["network.peer.address"]), r"^127\.0\.0\.1\b")
        (process,) = self.chain.collector.processes([span])
        self.assertEqual(process["service.name"], "gorego")
        self.assertEqual(process["service.version"], __version__)

    def test_what_is_asked_for(self) -> None:
        """Instance name, digest and size are on the span, whichever the method."""
        data, metadata = os.urandom(1000), self.headers
        digest = digest_of(data)
        name, uploaded = read_name(digest, "a/b"), write_name(digest, "a/b")
        stubs = self.client
        stubs.byte_stream.Write(write_requests(uploaded, data), metadata=metadata)
        list(stubs.byte_stream.Read(bytestream.ReadRequest(resource_name=name), metadata=metadata))
        status = bytestream.QueryWriteStatusRequest(resource_name=uploaded)
        stubs.byte_stream.QueryWriteStatus(status, metadata=metadata)
        find = reapi.FindMissingBlobsRequest(instance_name="a/b", blob_digests=[digest])
        stubs.cas.FindMissingBlobs(find, metadata=metadata)
        batch = reapi.BatchReadBlobsRequest(instance_name="a/b", digests=[digest])
        stubs.cas.BatchReadBlobs(batch, metadata=metadata)
        one = reapi.BatchUpdateBlobsRequest.Request(digest=digest, data=data)
        update = reapi.BatchUpdateBlobsRequest(instance_name="a/b", requests=[one])
        stubs.cas.BatchUpdateBlobs(update, metadata=metadata)
        result = reapi.UpdateActionResultRequest(
            instance_name="a/b", action_digest=digest, action_result=reapi.ActionResult(exit_code=1)
        )
        stubs.action_cache.UpdateActionResult(result, metadata=metadata)
        get = reapi.GetActionResultRequest(instance_name="a/b", action_digest=digest)
        stubs.action_cache.GetActionResult(get, metadata=metadata)
        of_blobs = (WRITE, READ, QUERY_WRITE_STATUS, FIND_MISSING, BATCH_READ, BATCH_UPDATE)
        methods = (*of_blobs, UPDATE_RESULT, GET_RESULT)
        trace = self.trace(*methods)
        expected = ("a/b", digest.hash, digest.size_bytes)
        keys = ("reapi.instance_name", "reapi.digest.hash", "reapi.digest.size_bytes")
        for method in methods:
            told = attributes(trace.one(method))
            self.assertEqual(tuple(map(told.get, keys)), expected, method)

    def test_more_of_what_is_asked_for(self) -> None:
        """A Tree is named by its root, many digests by how many they are, capabilities by the instance name."""
        root = reapi.Directory(files=[reapi.FileNode(name="f", digest=digest_of(b""))])
        (digest,) = self.client.batch_update(root.SerializeToString())
        tree = reapi.GetTreeRequest(instance_name="a", root_digest=digest)
        list(self.client.cas.GetTree(tree, metadata=self.headers))
        many = reapi.FindMissingBlobsRequest(blob_digests=map(digest_of, (b"1", b"2", b"3")))
        self.client.cas.FindMissingBlobs(many, metadata=self.headers)
        ask = reapi.GetCapabilitiesRequest(instance_name="a")
        self.client.capabilities.GetCapabilities(ask, metadata=self.headers)
        trace = self.trace(GET_TREE, FIND_MISSING, GET_CAPABILITIES)
        self.assertEqual(attributes(trace.one(GET_TREE))["reapi.digest.hash"], digest.hash)
        self.assertEqual(attributes(trace.one(FIND_MISSING))["reapi.digests"], 3)
        self.assertEqual(attributes(trace.one(GET_CAPABILITIES))["reapi.instance_name"], "a")


class StatusTests(ServerSpanTestCase):
    """How calls end."""

    def refused(self, call: Callable[[], object]) -> int:
        """The code that a call ends with."""
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        return int(caught.exception.code().value[0])

    def test_failures(self) -> None:
        """What is absent, and what the client has done wrong, is told by the code alone."""
        absent = digest_of(os.urandom(10))
        wrong = bytestream.WriteRequest(resource_name=write_name(absent), data=b"x" * 10)
        wrong.finish_write = True
        metadata = self.headers
        codes = {
            READ: self.refused(lambda: read(self.client, absent, metadata)),
            WRITE: self.refused(
                lambda: self.client.byte_stream.Write(iter([wrong]), metadata=metadata)
            ),
        }
        self.assertEqual(codes, {READ: 5, WRITE: 3})
        trace = self.trace(READ, WRITE)
        for method, code in codes.items():
            self.assertEqual(attributes(trace.one(method))["rpc.grpc.status_code"], code)
            self.assertEqual(trace.one(method).status.code, Status.STATUS_CODE_UNSET)

    def test_client_leaves(self) -> None:
        """A call that is cancelled, or whose deadline passes, says so."""
        digest = write(self.client, os.urandom(30_000_000))
        request = bytestream.ReadRequest(resource_name=read_name(digest))
        reading = self.client.byte_stream.Read(request, metadata=self.headers)
        next(reading)
        reading.cancel()
        silent = self.connect(self.chain.backing)
        stalled = silent.byte_stream.Write.future(
            _stalled(write_name(digest_of(os.urandom(9)))), timeout=0.5, metadata=self.headers
        )
        self.assertEqual(stalled.exception().code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        trace = self.trace(READ, WRITE)
        self.assertEqual(attributes(trace.one(READ))["rpc.grpc.status_code"], 1)
        # The client resets the stream at the same moment.
        self.assertIn(attributes(trace.one(WRITE))["rpc.grpc.status_code"], {1, 4})


def _stalled(name: str) -> Iterator[bytestream.WriteRequest]:
    """An upload that begins, and does not go on within a second."""
    yield bytestream.WriteRequest(resource_name=name)
    time.sleep(1)
