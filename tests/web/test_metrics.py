"""/metrics"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.web.metrics import SLICE_SECONDS, Metrics
from tests.web.requests import body, get, header

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


class Slow(Collector):
    """Metrics of which each takes longer than a slice to be read.

    :ivar read: how many have been.
    """

    def __init__(self, clock: Clock, count: int) -> None:
        self.read = 0
        self._clock = clock
        self._count = count

    def collect(self) -> Iterable[Metric]:
        """One after the other."""
        for number in range(self._count):
            self._clock.rightNow += 2 * SLICE_SECONDS
            self.read += 1
            yield GaugeMetricFamily(f"slow_{number}", "Slow.", value=number)


class Broken(Collector):
    """Metrics that cannot be read."""

    def collect(self) -> Iterable[Metric]:
        """Fail."""
        raise ZeroDivisionError


class MetricsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.registry = CollectorRegistry()
        self.clock = Clock()
        self.page = Metrics(self.registry, self.clock)

    def count(self) -> None:
        """Three apples."""
        Counter("apples", "Apples.", registry=self.registry).inc(3)

    def test_text(self) -> None:
        """Who does not ask for anything gets the text form, which parses."""
        self.count()
        request = get(self.page)
        self.assertTrue(str(header(request, "content-type")).startswith("text/plain"))
        families = list(text_string_to_metric_families(body(request).decode()))
        samples = {sample.name: sample.value for family in families for sample in family.samples}
        self.assertEqual(samples["apples_total"], 3)

    def test_open_metrics(self) -> None:
        """Prometheus asks for OpenMetrics and gets it, with one end."""
        self.count()
        Counter("pears", "Pears.", registry=self.registry)
        request = get(self.page, accept=OPEN_METRICS)
        self.assertIn("application/openmetrics-text", str(header(request, "content-type")))
        self.assertTrue(body(request).endswith(b"\n# EOF\n"))
        self.assertEqual(body(request).count(b"# EOF"), 1)
        self.assertIn(b"apples_total 3.0\n", body(request))

    def test_turns(self) -> None:
        """The reactor has a turn between metrics that take their time."""
        slow = Slow(self.clock, 3)
        self.registry.register(slow)
        slow.read = 0
        request = get(self.page)
        self.assertEqual((slow.read, request.finished), (1, 0))
        self.clock.advance(0)
        self.assertEqual((slow.read, request.finished), (3, 1))
        self.assertIn(b"slow_2 2.0\n", body(request))

    def test_reader_leaves(self) -> None:
        """Nothing is read any more for a reader that has gone."""
        slow = Slow(self.clock, 3)
        self.registry.register(slow)
        slow.read = 0
        request = get(self.page)
        request.processingFailed(Failure(ConnectionDone()))
        self.clock.advance(0)
        self.assertEqual((slow.read, request.finished), (1, 0))

    def test_broken(self) -> None:
        """A metric that cannot be read is a failure that is told and logged."""
        self.registry.register(Broken())
        request = get(self.page)
        self.assertEqual((request.responseCode, request.finished), (500, 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
