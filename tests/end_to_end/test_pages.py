"""The pages for operators and their tools, of daemons that live."""

from __future__ import annotations

import json
import os
import time

import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import digest_of
from tests.end_to_end.pages import page
from tests.end_to_end.trace import ClientSpan
from tests.end_to_end.traced import Metadata, TracedTestCase, shared_chain

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
LATENCY = "gorego_cache_latency_seconds"


class PageTests(TracedTestCase):
    """Pages of the daemon that all tests share."""

    def setUp(self) -> None:
        super().setUp()
        self.daemon = shared_chain().front

    def test_list(self) -> None:
        """/ and /debug/ list what there is."""
        names = ("/configz", "/debug", "/healthz", "/metrics", "/readyz", "/tracez")
        self.assertEqual(page(self.daemon, "/").text.split(), list(names))
        self.assertEqual(page(self.daemon, "/debug/").text.split(), ["/log", "/profile", "/stacks"])
        for name in names:
            self.assertEqual(page(self.daemon, name).status, 200, name)
        self.assertEqual(page(self.daemon, "/nowhere").status, 404)

    def test_tracez(self) -> None:
        """/tracez is a page for people, and JSON for who asks for that in either way."""
        self.assertEqual(page(self.daemon, "/tracez").headers.get_content_type(), "text/html")
        for answer in (
            page(self.daemon, "/tracez?format=json"),
            page(self.daemon, "/tracez", "application/json"),
        ):
            self.assertEqual(answer.headers.get_content_type(), "application/json")
            self.assertEqual(set(json.loads(answer.text)), {"counts", "requests"})

    def test_stacks(self) -> None:
        """/debug/stacks has the stack of every thread, that of the reactor's down to the page itself."""
        text = page(self.daemon, "/debug/stacks").text
        self.assertIn("MainThread", text)
        self.assertIn("render_GET", text)
        self.assertIn("OtelBatchSpanRecordProcessor", text)

    def test_profile(self) -> None:
        """/debug/profile takes as long as it is told to, and what it gives is speedscope's."""
        began = time.monotonic()
        answer = page(self.daemon, "/debug/profile?seconds=0.5")
        self.assertGreaterEqual(time.monotonic() - began, 0.5)
        told = json.loads(answer.text)
        self.assertEqual(told["$schema"], "https://www.speedscope.app/file-format-schema.json")
        main = [p for p in told["profiles"] if p["name"].startswith("MainThread")]
        self.assertEqual(len(main), 1)
        self.assertEqual(main[0]["endValue"], sum(main[0]["weights"]))
        self.assertGreater(main[0]["endValue"], 5)
        frames = told["shared"]["frames"]
        used = {at for sample in main[0]["samples"] for at in sample}
        self.assertLess(max(used), len(frames))
        self.assertEqual(page(self.daemon, "/debug/profile?seconds=never").status, 400)


class ConfigzTests(TracedTestCase):
    def test_secrets(self) -> None:
        """/configz is the configuration in effect, with the names of headers and without their values."""
        daemon = self.make_traced(
            self.make_collector(),
            GOREGO_BACKING_CACHE_TARGET="grpc://127.0.0.1:1",
            GOREGO_BACKING_CACHE_HEADERS="{authorization: Bearer sesame, x-key: opened}",
            GOREGO_TELEMETRY_SAMPLING_RATIO="0.25",
        ).start()
        answer = page(daemon, "/configz")
        for secret in ("sesame", "opened"):
            self.assertNotIn(secret, answer.text)
        told = yaml.safe_load(answer.text)
        self.assertEqual(set(told["backing_cache"]["headers"]), {"authorization", "x-key"})
        self.assertEqual(told["telemetry"]["sampling_ratio"], 0.25)
        self.assertEqual(told["listen_addr"], daemon.listen_addr)
        self.assertEqual(told["local_cache"]["dir"], str(daemon.cache_dir))
        # Not in the log either.
        self.assertNotIn("sesame", daemon.log)


class ExemplarTests(TracedTestCase):
    """/metrics in both of its forms."""

    def setUp(self) -> None:
        super().setUp()
        self.daemon = shared_chain().front
        self.client = self.connect(self.daemon)

    def find(self, metadata: Metadata) -> None:
        """Ask for a blob that neither daemon has."""
        request = reapi.FindMissingBlobsRequest(blob_digests=[digest_of(os.urandom(8))])
        self.client.cas.FindMissingBlobs(request, metadata=metadata)

    def test_openmetrics(self) -> None:
        """Who asks for OpenMetrics gets the trace of a sampled request beside a bucket of each tier
        and one of all calls.
        """
        sampled, unsampled = ClientSpan.new(), ClientSpan.new()
        self.find(sampled.traceparent())
        self.find(unsampled.traceparent(sampled=False))
        answer = page(self.daemon, "/metrics", OPENMETRICS)
        self.assertEqual(answer.headers.get_content_type(), "application/openmetrics-text")
        families = list(text_string_to_metric_families(answer.text))
        samples = [sample for family in families for sample in family.samples if sample.exemplar]
        mine = {
            (sample.name, sample.labels.get("tier"))
            for sample in samples
            if sample.labels["method"] == "FindMissingBlobs"
            and sample.exemplar.labels == {"trace_id": sampled.trace_id}
            and sample.exemplar.value <= float(sample.labels["le"])
        }
        tiers = {(f"{LATENCY}_bucket", "local"), (f"{LATENCY}_bucket", "backing")}
        self.assertEqual(mine, {*tiers, ("gorego_grpc_request_seconds_bucket", None)})
        self.assertNotIn(unsampled.trace_id, answer.text)

    def test_plain(self) -> None:
        """The plain form has no exemplars, and is what is given to whoever asks for nothing."""
        self.find(ClientSpan.new().traceparent())
        answer = page(self.daemon, "/metrics")
        self.assertEqual(answer.headers.get_content_type(), "text/plain")
        self.assertIn(f"{LATENCY}_bucket", answer.text)
        self.assertNotIn("trace_id", answer.text)
