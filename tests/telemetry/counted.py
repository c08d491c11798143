"""What was counted, as whoever reads the metrics sees it."""

from __future__ import annotations

from collections import Counter

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gorego_tw.telemetry.tallies import Tallies, Tier


class Counted(Tallies):
    """Tallies of both tiers, or of those given."""

    def __init__(self, *tiers: Tier) -> None:
        super().__init__(tiers or ("local", "backing"))
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def values(self, name: str, **labels: str) -> Counter[str]:
        """The samples of that name that have those labels and are not 0, by their other labels: "tier status"."""
        text = generate_latest(self.registry).decode()
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    others = sorted(sample.labels.keys() - labels.keys(), reverse=True)
                    found[" ".join(sample.labels[key] for key in others)] = int(sample.value)
        return +found

    def requests(self, method: str) -> Counter[str]:
        """What came of the requests of a method, by tier and status."""
        return self.values("gorego_cache_requests_total", method=method)

    def misses(self, method: str) -> Counter[str]:
        """What clients were told is not there, by the reason."""
        return self.values("gorego_cache_misses_total", method=method)

    def answers(self, method: str) -> Counter[str]:
        """How often the time was taken, by tier."""
        return self.values("gorego_cache_latency_seconds_count", method=method)

    def sizes(self, method: str) -> Counter[str]:
        """How often a size was noted, under ``""``."""
        return self.values("gorego_blob_size_bytes_count", method=method)
