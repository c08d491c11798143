"""Metrics that are read from the objects that count, at the moment they are asked for.

What is counted costs its owner an addition; names, labels and types are made here, and
only when somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

Family: TypeAlias = GaugeMetricFamily | CounterMetricFamily

#: The value of each value of the one label; the value alone for a metric without labels.
Reading: TypeAlias = Callable[[], float] | Mapping[str, Callable[[], float]]


class Observed(Collector):
    """A collector of readings.

    :param registry: where it is registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._metrics: list[tuple[type[Family], str, str, str, Reading]] = []
        registry.register(self)

    def gauge(self, name: str, documentation: str, reading: Reading, label: str = "") -> None:
        """Something that goes up and down.

        :param label: the name of the label, if ``reading`` is a mapping.
        """
        self._metrics.append((GaugeMetricFamily, name, documentation, label, reading))

    def counter(self, name: str, documentation: str, reading: Reading, label: str = "") -> None:
        """Something that goes up until the process ends; its name ends in ``_total``."""
        self._metrics.append((CounterMetricFamily, name, documentation, label, reading))

    def describe(self) -> Iterable[Family]:
        """The metrics without their values."""
        for family, name, documentation, label, _ in self._metrics:
            yield family(name, documentation, labels=[label] if label else [])

    def collect(self) -> Iterable[Family]:
        """The metrics as they are now."""
        for family, name, documentation, label, reading in self._metrics:
            if isinstance(reading, Mapping):
                metric = family(name, documentation, labels=[label])
                for value, read in reading.items():
                    metric.add_metric([value], read())
            else:
                metric = family(name, documentation, value=reading())
            yield metric
