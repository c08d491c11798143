"""Tests of gorego_tw.backing and its metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from twisted.internet.task import Clock

from gorego_tw.backing import Backing, make_backing
from gorego_tw.config import load
from gorego_tw.lifecycle import StartError
from gorego_tw.metrics.backing import observe_backing
from gorego_tw.reapi.limits import Limits
from gorego_tw.telemetry.observed import Observed
from gorego_tw.telemetry.tallies import Tallies
from tests.storage.tiers import TierTestCase


class BackingTests(TierTestCase):
    def make(self, **keys: str) -> Backing | None:
        """What is behind the local tier with that configuration."""
        variables = {f"GOREGO_BACKING_CACHE_{key.upper()}": text for key, text in keys.items()}
        reactor: Any = Clock()
        return make_backing(load(None, variables), self.tier, Limits(), reactor)

    def names(self, **keys: str) -> list[str]:
        """The services that run."""
        backing = self.make(**keys)
        assert backing is not None
        return [type(service).__name__ for service in backing.services()]

    def test_none(self) -> None:
        """Without a target there is nothing behind."""
        self.assertIsNone(self.make())

    def test_services(self) -> None:
        """The session begins, the queue and the renewal need it."""
        everything = ["Session", "Probe", "WriteBack", "Renewal"]
        for target in ("grpc://host:1", "unix:/socket", "http://host/prefix"):
            self.assertEqual(self.names(target=target), everything)

    def test_read_only(self) -> None:
        """What is only read has nothing uploaded; without a budget nothing is renewed."""
        names = self.names(target="grpc://host:1", write_policy="around", renewals_per_minute="0")
        self.assertEqual(names, ["Session", "Probe"])

    def test_policies(self) -> None:
        """Each name of a policy is one."""
        found = set()
        for name in ("through", "back", "through_or_back", "around"):
            backing = self.make(target="grpc://host:1", write_policy=name)
            assert backing is not None
            found.add(type(backing.policy).__name__)
        self.assertEqual(found, {"Through", "Back", "ThroughOrBack", "Around"})

    def test_no_certificate(self) -> None:
        """A file that is not there, or is no certificate, stops the start, with its key."""
        for target in ("grpcs://host:1", "https://host"):
            with self.assertRaises(StartError) as caught:
                self.make(target=target, tls_ca_file="/nowhere")
            self.assertIn("/nowhere: No such file", str(caught.exception))
            self.assertTrue(str(caught.exception).startswith("backing_cache.tls"))
        rubbish = Path(self.mktemp())
        rubbish.write_text("-----END CERTIFICATE-----")
        with self.assertRaises(StartError) as caught:
            self.make(target="https://host", tls_ca_file=str(rubbish.absolute()))
        self.assertIn("no PEM", str(caught.exception))

    def test_metrics(self) -> None:
        """All metrics can be read from the start, for whatever is behind."""
        for target in ("grpc://host:1", "http://host"):
            registry = CollectorRegistry()
            backing = self.make(target=target)
            assert backing is not None
            observe_backing(Observed(registry), backing, Tallies(["local", "backing"]))
            text = generate_latest(registry).decode()
            self.assertIn('gorego_backing_breaker_state{state="closed"} 1.0', text)
            self.assertIn("gorego_write_back_queue_entries 0.0", text)
            self.assertIn("gorego_fetches_resumed_total 0.0", text)
