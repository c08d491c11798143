"""The real Prometheus scrapes the daemon, and answers what the dashboard and the alerts ask."""

from __future__ import annotations

import re
import time
from typing import Any

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from tests.end_to_end.backing import Backing
from tests.end_to_end.certificates import Authority
from tests.end_to_end.client import Client, digest_of, read_name
from tests.end_to_end.daemon import eventually, free_port
from tests.end_to_end.prometheus import Prometheus
from tests.end_to_end.traced import TracedTestCase, backing_cache, telemetry
from tests.etc.files import Query, marks, queries
from tests.tools import tool

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"

#: Actions that are looked up, and how many of them are known.
LOOKUPS, KNOWN = 40, 30

#: Blobs that only the backing cache has.
BEHIND = 10

#: Of rates: all of the traffic is in it, on a busy machine too.
WINDOW = "30s"

LABEL = re.compile(r"\{\{(\w+)\}\}")

#: What has no value while all is well, or while there is nothing of the kind.
MAY_BE_EMPTY = frozenset({"Restarts", "Time until it is full", "Calls that fail"})


class DashboardTests(TracedTestCase):
    """A daemon before a backing cache, its traffic, and what Prometheus makes of it."""

    def setUp(self) -> None:
        super().setUp()
        tool("prometheus")
        authority = Authority(self.make_folder())
        server = authority.vouch_for("server")
        self.backing = Backing(
            grpc.ssl_server_credentials([(server.key.read_bytes(), server.cert.read_bytes())])
        )
        self.addCleanup(self.backing.close)
        self.front = self.make_daemon(
            **backing_cache(self.backing.target, tls_ca_file=str(authority.cert)),
            **telemetry(self.make_collector()),
        )
        self.front.metrics_addr = f"127.0.0.1:{free_port()}"
        self.front.start()
        self.prometheus = Prometheus(self.make_folder(), self.front.metrics_addr)
        self.addCleanup(self.prometheus.stop)
        self.prometheus.start()
        self.make_traffic(self.connect(self.front))
        self.wait_for_scrape()

    def make_traffic(self, client: Client) -> None:
        """Some of everything. It is after the first scrape, so that counters are seen to grow."""
        for n in range(LOOKUPS):
            self.look_up(client, b"action %d" % n, known=n < KNOWN)
        client.upload(b"u" * 100_000)
        digests = [self.backing.keep(b"%d" % n * 50_000) for n in range(BEHIND)]
        client.find_missing([*digests, digest_of(b"nowhere")])
        for digest in digests:
            request = bytestream.ReadRequest(resource_name=read_name(digest))
            metadata = (("traceparent", TRACEPARENT),)
            list(client.byte_stream.Read(request, metadata=metadata))
        for digest in digests:
            client.read(read_name(digest))

    def look_up(self, client: Client, action: bytes, *, known: bool) -> None:
        """A lookup of an action, after it was written if it is to be known."""
        digest = digest_of(action)
        if known:
            update = reapi.UpdateActionResultRequest(
                action_digest=digest, action_result=reapi.ActionResult(exit_code=0)
            )
            client.action_cache.UpdateActionResult(update)
        try:
            client.action_cache.GetActionResult(reapi.GetActionResultRequest(action_digest=digest))
        except grpc.RpcError as error:
            assert not known, error

    def wait_for_scrape(self) -> None:
        """Until Prometheus has seen all of the traffic, and its rules have."""
        asked = 'sum(gorego_blob_size_bytes_count{method="Read"})'
        eventually(lambda: self.value(asked) == 2 * BEHIND, "all reads are scraped")
        recorded = "job_instance:gorego_cache_hits:ratio_rate5m"
        eventually(lambda: self.prometheus.ask(recorded), "the rules are evaluated")
        eventually(
            lambda: "unknown" not in {rule["health"] for rule in self.rules()}, "and all of them"
        )

    def rules(self) -> list[dict[str, Any]]:
        """All rules, as Prometheus has them."""
        groups = self.prometheus.get("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def value(self, expression: str) -> float:
        """The one value that an expression comes to; -1 if there is none."""
        found = self.prometheus.ask(expression)
        return found[0][1] if len(found) == 1 else -1.0

    def filled(self, query: Query) -> str:
        """A query of the dashboard, as Grafana would ask it."""
        instance = re.escape(self.front.metrics_addr).replace("\\", "\\\\")
        return query.filled(job="gorego", instance=instance, interval=WINDOW, whole="1m")

    def shown(self, title: str, legend: str) -> float:
        """What a panel shows under a legend."""
        (query,) = (q for q in queries() if q.title == title and (q.legend == legend))
        return self.value(self.filled(query))

    def test_all(self) -> None:
        """Every panel has its answer, rules and alerts are well, and latencies lead to traces."""
        # One test: the traffic and its scrapes take longer than all questions.
        self.check_panels()
        self.check_values()
        self.check_rules()
        self.check_exemplars()

    def check_panels(self) -> None:
        """Every query is answered, with the labels that its legend names."""
        empty = []
        for query in (*queries(), *marks()):
            found = self.prometheus.ask(self.filled(query))
            if not found:
                empty.append(query.title)
            for labels, _ in found:
                self.assertLessEqual(set(LABEL.findall(query.legend)), set(labels), query)
        self.assertEqual(set(empty) - MAY_BE_EMPTY, set())

    def check_values(self) -> None:
        """The panels that are looked at first say what has happened."""
        self.assertEqual(self.shown("Daemons that answer", "up"), 1)
        self.assertAlmostEqual(
            self.shown("Action results found", "found"), KNOWN / LOOKUPS, places=2
        )
        self.assertEqual(self.shown("Backing cache", "answers"), 1)
        for title in ("Local tier", "Backing cache"):
            p50, p90, p99 = (self.shown(title, legend) for legend in ("p50", "p90", "p99"))
            self.assertTrue(0 < p50 <= p90 <= p99 < 60, (title, p50, p90, p99))
        used = self.shown("Disk used", "used")
        self.assertTrue(0 < used < 0.1, used)
        self.assertEqual(self.shown("Calls that fail", "failing"), 0)

    def check_rules(self) -> None:
        """All are evaluated without an error, and nothing but the certificate is wrong: it has an hour left."""
        unwell = {r["name"]: r.get("lastError") for r in self.rules() if r["health"] != "ok"}
        self.assertEqual(unwell, {})
        alerts = self.prometheus.get("alerts")["alerts"]
        firing = {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"}
        self.assertEqual(firing, {"GoregoCertificateExpires", "GoregoCertificateExpiresNow"})

    def check_exemplars(self) -> None:
        """Beside latencies, of the backing cache and in all, stands the trace of a request that took it."""
        for metric in ("gorego_cache_latency_seconds", "gorego_grpc_request_seconds"):
            found = self.prometheus.get(
                "query_exemplars",
                query=f'{metric}_bucket{{method="Read",tier=~"backing|"}}',
                start=str(time.time() - 60),
                end=str(time.time() + 60),
            )
            traces = {e["labels"]["trace_id"] for series in found for e in series["exemplars"]}
            self.assertIn(TRACE_ID, traces, metric)
