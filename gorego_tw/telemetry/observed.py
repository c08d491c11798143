"""Metrics that are read from the objects that count, at the moment they are asked for.

What is counted costs its owner an addition; names, labels and types are made here, and
only when somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from twisted.internet.interfaces import IReactorTime
from txaio.tx import make_logger

from gorego_tw.errors import StatusError
from gorego_tw.seldom import Seldom
from gorego_tw.telemetry.distribution import Distribution

Family: TypeAlias = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily

#: The value of each value of the one label; the value alone for a metric without labels.
Reading: TypeAlias = Callable[[], float] | Mapping[str, Callable[[], float]]

#: Values by those of all labels, in their order. There is a bounded number of them.
Table: TypeAlias = Callable[[], Mapping[tuple[str, ...], float]]

#: How much time passes between two lines in the log about metrics that cannot be read, in seconds.
TELL_SECONDS = 60.0


class Observed(Collector):
    """A collector of readings.

    A reading that fails with ``StatusError`` or ``OSError``, as of an index on a disk that fails, leaves its
    metric out for this time: the others are needed then more than ever.

    :param registry: where it is registered.
    :ivar left_out: how often a metric was left out.
    """

    _log = make_logger()

    def __init__(self, registry: CollectorRegistry, clock: IReactorTime) -> None:
        self.left_out = 0
        self._metrics: list[Callable[[], Family]] = []
        self._trouble_told = Seldom(TELL_SECONDS, clock, at_once=True)
        registry.register(self)

    def gauge(self, name: str, documentation: str, reading: Reading, label: str = "") -> None:
        """Something that goes up and down.

        :param label: the name of the label, if ``reading`` is a mapping.
        """
        self._metrics.append(lambda: _read(GaugeMetricFamily, name, documentation, label, reading))

    def counter(self, name: str, documentation: str, reading: Reading, label: str = "") -> None:
        """Something that goes up until the process ends; its name ends in ``_total``."""
        self._metrics.append(
            lambda: _read(CounterMetricFamily, name, documentation, label, reading)
        )

    def gauges(self, name: str, documentation: str, labels: tuple[str, ...], table: Table) -> None:
        """A gauge with several labels, or with one whose values are not known beforehand."""
        self._metrics.append(
            lambda: _tabled(GaugeMetricFamily(name, documentation, labels=labels), table)
        )

    def counters(
        self, name: str, documentation: str, labels: tuple[str, ...], table: Table
    ) -> None:
        """A counter of that kind."""
        self._metrics.append(
            lambda: _tabled(CounterMetricFamily(name, documentation, labels=labels), table)
        )

    def histogram(self, name: str, documentation: str, distribution: Distribution) -> None:
        """How often which values came up."""
        self._metrics.append(
            lambda: HistogramMetricFamily(
                name, documentation, distribution.buckets(), distribution.sum
            )
        )

    def collect(self) -> Iterable[Family]:
        """The metrics as they are now."""
        for read in self._metrics:
            try:
                family = read()
            except (StatusError, OSError) as error:
                self._leave_out(error)
            else:
                yield family

    def _leave_out(self, error: Exception) -> None:
        self.left_out += 1
        if self._trouble_told.due:
            self._trouble_told.done()
            self._log.warn(
                "a metric cannot be read, and is left out: {trouble}", trouble=str(error)
            )


def _tabled(family: GaugeMetricFamily | CounterMetricFamily, table: Table) -> Family:
    for values, value in table().items():
        family.add_metric(values, value)
    return family


def _read(
    kind: type[GaugeMetricFamily | CounterMetricFamily],
    name: str,
    documentation: str,
    label: str,
    reading: Reading,
) -> Family:
    if not isinstance(reading, Mapping):
        return kind(name, documentation, value=reading())
    family = kind(name, documentation, labels=[label])
    for value, read in reading.items():
        family.add_metric([value], read())
    return family
