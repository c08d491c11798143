"""What a registry shows, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families


def value(registry: CollectorRegistry, name: str, *labels: str) -> float:
    """What a metric says.

    :param labels: values of labels it must have.
    :raises AssertionError: there is none like it.
    """
    text = generate_latest(registry).decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and {*labels} <= {*sample.labels.values()}:
                return sample.value
    raise AssertionError(f"no {name} {labels}")
