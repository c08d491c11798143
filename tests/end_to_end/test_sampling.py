"""Which traces are exported, and what of the others is seen all the same."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from tests.end_to_end.backing import Backing
from tests.end_to_end.client import Client, digest_of, write_name
from tests.end_to_end.pages import page
from tests.end_to_end.trace import SERVER, ClientSpan
from tests.end_to_end.traced import (
    FIND_MISSING,
    READ,
    Metadata,
    TracedTestCase,
    backing_cache,
    read,
    request_metadata,
    telemetry,
)


def ask(client: Client, metadata: Metadata = ()) -> None:
    """Make a call."""
    client.cas.FindMissingBlobs(reapi.FindMissingBlobsRequest(), metadata=metadata)


class RatioTests(TracedTestCase):
    """``telemetry.sampling_ratio``."""

    def setUp(self) -> None:
        super().setUp()
        self.collector = self.make_collector()

    def exported(self, ratio: float, *calls: Metadata) -> list[str]:
        """The traces that a daemon exports which is called with such metadata, in their order."""
        daemon = self.make_traced(self.collector, GOREGO_TELEMETRY_SAMPLING_RATIO=str(ratio))
        daemon.start()
        client = self.connect(daemon)
        for metadata in calls:
            ask(client, metadata)
        daemon.stop()
        return [span.trace_id.hex() for span in self.collector.spans if span.kind == SERVER]

    def test_none(self) -> None:
        """At 0 nothing is exported, neither of calls nor of builds nor of the daemon's own, but what clients sample."""
        w3c, b3, unsampled = ClientSpan.new(), ClientSpan.new(), ClientSpan.new()
        headers = (w3c.traceparent(), b3.b3_multi(), unsampled.traceparent(sampled=False))
        exported = self.exported(0, (), request_metadata(), *headers, *[()] * 50)
        self.assertEqual(exported, [w3c.trace_id, b3.trace_id])
        # Not even the janitor's first run.
        traces = {span.trace_id.hex() for span in self.collector.spans}
        self.assertEqual(traces, {w3c.trace_id, b3.trace_id})

    def test_all(self) -> None:
        """At 1 everything is, but what clients do not sample."""
        build, spans = str(uuid4()), [ClientSpan.new() for _ in range(4)]
        unsampled = (
            spans[0].traceparent(sampled=False),
            spans[1].b3(sampled=False),
            spans[2].b3_multi(sampled=False),
        )
        sampled = spans[3].traceparent()
        exported = self.exported(1, (), request_metadata(build), *unsampled, sampled)
        self.assertEqual(exported[1:], [UUID(build).hex, spans[3].trace_id])

    def test_some(self) -> None:
        """In between it is some of them, and of a build all or nothing."""
        builds = [str(uuid4()) for _ in range(100)]
        exported = self.exported(0.5, *[()] * 100, *map(request_metadata, 2 * builds))
        counts = [exported.count(UUID(build).hex) for build in builds]
        self.assertLessEqual(set(counts), {0, 2})
        # 100 throws of a coin are within 5 standard deviations of 50.
        for some in (counts.count(2), len(exported) - sum(counts)):
            self.assertGreater(some, 25)
            self.assertLess(some, 75)


class UnsampledTests(TracedTestCase):
    """A daemon that exports nothing, before a backing cache that is slow."""

    def setUp(self) -> None:
        super().setUp()
        self.backing = Backing()
        self.addCleanup(self.backing.close)
        self.collector = self.make_collector()
        self.daemon = self.make_traced(
            self.collector,
            **telemetry(self.collector, sampling_ratio="0"),
            **backing_cache(self.backing.target),
        ).start()
        self.client = self.connect(self.daemon)

    def test_slow_and_failed(self) -> None:
        """Slow and failed requests are in /tracez, with what they waited for, as JSON and as a page."""
        self.backing.script.bytes_per_second = 1_000_000
        digest = self.backing.keep(b"slow" * 50_000)
        read(self.client, digest, request_metadata(target_id="//slow:one"))
        wrong = bytestream.WriteRequest(resource_name=write_name(digest_of(b"?")), data=b"!")
        wrong.finish_write = True
        with self.assertRaises(grpc.RpcError):
            self.client.byte_stream.Write(iter([wrong]))
        ask(self.client)

        answer = page(self.daemon, "/tracez?format=json")
        self.assertEqual(answer.headers.get_content_type(), "application/json")
        kept = {request["method"]: request for request in json.loads(answer.text)["requests"]}
        slow, failed = kept[READ], kept["google.bytestream.ByteStream/Write"]
        self.assertNotIn(FIND_MISSING, kept)
        self.assertEqual((slow["code"], failed["code"]), ("OK", "INVALID_ARGUMENT"))
        self.assertEqual((slow["is_exported"], failed["is_exported"]), (False, False))
        whole = slow["spans"][0]
        self.assertGreater(whole["takes_ms"], 150)
        self.assertGreater(whole["spent_ms"]["upstream"], 100)
        self.assertEqual(whole["attributes"]["reapi.digest.hash"], digest.hash)
        self.assertEqual(whole["attributes"]["reapi.target_id"], "//slow:one")
        names = [span["name"] for span in slow["spans"]]
        self.assertLess({"ProxyStore.Get", "wait for the backing cache"}, set(names))

        html = page(self.daemon, "/tracez")
        self.assertEqual(html.headers.get_content_type(), "text/html")
        for text in (READ, digest.hash, "upstream", slow["trace_id"], "INVALID_ARGUMENT"):
            self.assertIn(text, html.text)
        only = page(self.daemon, f"/tracez?method={READ}&bucket=%3E%3D+0.1+s")
        self.assertIn(slow["trace_id"], only.text)
        self.assertNotIn(failed["trace_id"], only.text)
        self.assertEqual(self.collector.spans, [])

    def test_peer_is_told(self) -> None:
        """The backing cache is told that a trace is not sampled, and that one is which the client samples."""
        digest = self.backing.keep(b"small")
        read(self.client, digest)
        sampled = ClientSpan.new()
        read(self.client, self.backing.keep(b"other"), sampled.traceparent())
        told = [told for method, told in self.backing.metadata if method == "BatchReadBlobs"]
        self.assertRegex(told[0]["traceparent"], r"^00-[0-9a-f]{32}-[0-9a-f]{16}-00$")
        self.assertEqual(told[1]["traceparent"][3:35], sampled.trace_id)
        self.assertTrue(told[1]["traceparent"].endswith("-01"))
