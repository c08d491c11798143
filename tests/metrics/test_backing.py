"""Tests of gorego_tw.metrics.backing."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gorego_tw.backing import make_backing
from gorego_tw.config import load
from gorego_tw.errors import NotFound, Unavailable
from gorego_tw.interfaces import ActionKey
from gorego_tw.metrics.backing import observe_backing
from gorego_tw.reapi.limits import Limits
from gorego_tw.telemetry.observed import Observed
from gorego_tw.telemetry.tallies import Tallies
from tests.storage.tiers import TierTestCase, blob, put, read
from tests.two_tiers import TwoTiersTestCase


class AnyPeerTests(TierTestCase):
    def test_from_the_start(self) -> None:
        """All metrics can be read before anything has happened, for whatever is behind."""
        for target in ("grpc://host:1", "http://host"):
            registry = CollectorRegistry()
            reactor: Any = Clock()
            configuration = load(None, {"GOREGO_BACKING_CACHE_TARGET": target})
            backing = make_backing(configuration, self.tier, Limits(), reactor)
            assert backing is not None
            observe_backing(Observed(registry, self.clock), backing, Tallies(["local", "backing"]))
            text = generate_latest(registry).decode()
            self.assertIn('gorego_backing_breaker_state{state="closed"} 1.0', text)
            self.assertIn("gorego_write_back_queue_entries 0.0", text)
            self.assertIn("gorego_fetches_resumed_total 0.0", text)


class BackingMetricsTests(TwoTiersTestCase):
    def values(self) -> dict[str, float]:
        """The metrics that are not 0, as ``name`` or ``name label``."""
        registry = CollectorRegistry()
        observe_backing(Observed(registry, self.clock), self.backing, self.counted)
        text = generate_latest(registry).decode()
        return {
            " ".join([sample.name.removeprefix("gorego_"), *sample.labels.values()]): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.value
        }

    def test_fetches(self) -> None:
        """Fetches are counted when they begin, while they are under way, and by how they end."""
        digest, data = blob(100_000)
        self.remote.blobs[digest] = data
        self.remote.gate = Deferred()
        reads = [self.ask("Read", lambda: read(self.backing.blobs, digest)) for _ in range(3)]
        values = self.values()
        self.assertEqual(values["fetches_in_flight"], 1)
        self.assertEqual(values["fetches_joined_total"], 2)
        self.remote.gate.callback(None)
        for work in reads:
            self.successResultOf(work)
        absent = self.ask("Read", lambda: read(self.backing.blobs, blob(9)[0]))
        self.failureResultOf(absent, NotFound)
        values = self.values()
        self.assertNotIn("fetches_in_flight", values)
        self.assertEqual(values["fetches_started_total"], 2)
        self.assertEqual(values["fetches_total completed"], 1)
        self.assertEqual(values["fetches_total absent"], 1)

    def test_writes(self) -> None:
        """So are copies to it."""
        self.remote.gate = Deferred()
        digest, data = blob(1000)
        writes = [
            self.ask("BatchUpdateBlobs", lambda: put(self.backing.blobs, digest, data))
            for _ in range(2)
        ]
        self.remote.gate.callback(None)
        for work in writes:
            self.successResultOf(work)
        values = self.values()
        self.assertEqual(values["backing_blobs_written_total"], 1)
        self.assertEqual(values["backing_writes_joined_total"], 1)

    def test_queue(self) -> None:
        """What waits to be uploaded is counted, and how long it has been waiting."""
        self.make_backing(write_policy="back")
        digest, data = blob(1000)
        self.successResultOf(put(self.backing.blobs, digest, data))
        self.clock.advance(5)
        values = self.values()
        self.assertEqual(values["write_back_queue_entries"], 1)
        self.assertEqual(values["write_back_queue_bytes"], 1000)
        self.assertEqual(values["write_back_queue_oldest_age_seconds"], 5)

    def test_breaker(self) -> None:
        """Of the states of the breaker one is 1; what it opens for and refuses is counted."""
        breaker = self.backing.peer.breaker
        for _ in range(5):
            breaker.failed(Unavailable("down"))
        self.assertRaises(Unavailable, breaker.check)
        values = self.values()
        states = {name for name in values if name.startswith("backing_breaker_state")}
        self.assertEqual(states, {"backing_breaker_state open"})
        self.assertEqual(values["backing_breaker_opened_total"], 1)
        self.assertEqual(values["backing_calls_refused_total"], 1)

    def test_outage(self) -> None:
        """Action results that could not be asked for are counted."""
        self.upstream.failure = Unavailable("down")
        get = self.backing.cache.action_results.get(ActionKey("", blob(9)[0]))
        self.failureResultOf(get, NotFound)
        self.assertEqual(self.values()["degraded_action_results_total"], 1)
