"""Builds of tools that send no trace context: one trace for each."""

from __future__ import annotations

from unittest import SkipTest
from uuid import UUID, uuid4

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.bazel import BAZEL, Bazel
from tests.end_to_end.collector import attributes
from tests.end_to_end.daemon import Daemon
from tests.end_to_end.trace import INTERNAL, SERVER, ClientSpan, Trace
from tests.end_to_end.traced import (
    FIND_MISSING,
    READ,
    TracedTestCase,
    backing_cache,
    read,
    request_metadata,
)

ROOT = "bazel invocation"


class BuildTestCase(TracedTestCase):
    """Daemons of the test's own, because the spans of builds end with them."""

    def setUp(self) -> None:
        super().setUp()
        self.collector = self.make_collector()
        self.backing = self.make_traced(self.collector).start()

    def make_front(self) -> Daemon:
        """A daemon before it."""
        target = backing_cache(f"grpc://{self.backing.listen_addr}")
        return self.make_traced(self.collector, **target).start()

    def trace(self, invocation: str) -> Trace:
        """What is known of a build now."""
        return Trace(self.collector.of_trace(UUID(invocation).hex))


class InvocationTests(BuildTestCase):
    """Calls with RequestMetadata."""

    def test_one_trace(self) -> None:
        """Calls of one invocation, on whichever connection, are one trace of that id, below one root."""
        invocation, other = str(uuid4()), str(uuid4())
        front = self.make_front()
        with self.backing.client() as behind:
            digest = behind.upload(b"wanted")
        for _ in range(3):
            client = self.connect(front)
            read(client, digest, request_metadata(invocation))
            read(client, digest, request_metadata(other))
        self.connect(front).cas.FindMissingBlobs(
            reapi.FindMissingBlobsRequest(), metadata=request_metadata(invocation)
        )
        front.stop()
        self.backing.stop()
        trace = self.trace(invocation)
        root = trace.one(ROOT)
        self.assertEqual((trace.strangers, root.kind), ({""}, INTERNAL))
        calls = trace.children(root)
        self.assertEqual([span.name for span in calls], [READ, READ, READ, FIND_MISSING])
        self.assertEqual({span.kind for span in calls}, {SERVER})
        self.assertLessEqual(root.start_time_unix_nano, calls[0].start_time_unix_nano)
        self.assertGreaterEqual(root.end_time_unix_nano, calls[-1].end_time_unix_nano)
        expected = {
            "gorego.calls": 4,
            "reapi.tool.name": "bazel",
            "reapi.tool.version": "7.1.0",
            "reapi.tool_invocation_id": invocation,
        }
        self.assertEqual(attributes(root), expected)
        # What the backing daemon did is below the call that asked it, and no build of its own.
        self.assertEqual(len(self.collector.instances(trace)), 2)
        self.assertEqual(len(self.trace(other).named(READ, SERVER)), 3)

    def test_both_daemons_are_called(self) -> None:
        """A build that two daemons serve has a root in each, both in its trace."""
        invocation = str(uuid4())
        daemons = (self.make_front(), self.backing)
        for daemon in daemons:
            request = reapi.FindMissingBlobsRequest()
            metadata = request_metadata(invocation)
            self.connect(daemon).cas.FindMissingBlobs(request, metadata=metadata)
        for daemon in daemons:
            daemon.stop()
        trace = self.trace(invocation)
        roots = trace.named(ROOT)
        self.assertEqual(len({root.span_id for root in roots}), 2)
        self.assertEqual(len(self.collector.instances(roots)), 2)
        for root in roots:
            (call,) = trace.children(root)
            self.assertEqual(self.collector.instances([call]), self.collector.instances([root]))

    def test_trace_context_comes_first(self) -> None:
        """A client that traces its calls keeps its trace, whatever invocation it names."""
        invocation, span = str(uuid4()), ClientSpan.new()
        self.connect(self.backing).cas.FindMissingBlobs(
            reapi.FindMissingBlobsRequest(),
            metadata=(*span.traceparent(), *request_metadata(invocation)),
        )
        self.backing.stop()
        self.assertEqual(self.trace(invocation).names, [])
        trace = Trace(self.collector.of_trace(span.trace_id))
        self.assertEqual(trace.one(FIND_MISSING).parent_span_id.hex(), span.span_id)

    def test_no_uuid(self) -> None:
        """An invocation's id that is no UUID makes one trace too."""
        client = self.connect(self.backing)
        for _ in range(2):
            request = reapi.FindMissingBlobsRequest()
            client.cas.FindMissingBlobs(request, metadata=request_metadata("nightly build 17"))
        self.backing.stop()
        roots = [span for span in self.collector.spans if span.name == ROOT]
        self.assertEqual(len(roots), 1)
        self.assertEqual(attributes(roots[0])["gorego.calls"], 2)


class BazelTests(BuildTestCase):
    """The real one."""

    def test_one_build_is_one_trace(self) -> None:
        """All that Bazel asks in a build, and all that it leads to, is one trace of the invocation's id."""
        if BAZEL is None:
            raise SkipTest("bazel is not installed (Debian: bazel-bootstrap)")
        invocation = str(uuid4())
        front, bazel = self.make_front(), Bazel(self.make_folder())
        build = bazel.build(f"grpc://{front.listen_addr}", f"--invocation_id={invocation}")
        self.assertEqual(build.warnings, [])
        front.stop()
        self.backing.stop()
        trace = self.trace(invocation)
        asked = [s for s in self.collector.spans if "reapi.tool.name" in attributes(s)]
        self.assertEqual({s.trace_id.hex() for s in asked}, {UUID(invocation).hex})
        self.assertEqual(trace.strangers, {""})
        root = trace.one(ROOT)
        calls = trace.children(root)
        self.assertGreater(len(calls), 2 * len(build.runners))
        self.assertEqual(attributes(root)["gorego.calls"], len(calls))
        self.assertEqual({call.kind for call in calls}, {SERVER})
        self.assertIn("Genrule", {attributes(call).get("reapi.action_mnemonic") for call in calls})
