"""Tests of gorego_tw.telemetry.observed."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Unavailable
from gorego_tw.telemetry.distribution import Distribution
from gorego_tw.telemetry.observed import TELL_SECONDS, Observed


class ObservedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.registry = CollectorRegistry()
        self.clock = Clock()
        self.observed = Observed(self.registry, self.clock)

    def samples(self) -> dict[tuple[str, str], float]:
        """What is shown: the values by name and label."""
        text = generate_latest(self.registry).decode()
        families = text_string_to_metric_families(text)
        return {
            (sample.name, ",".join(sample.labels.values())): sample.value
            for family in families
            for sample in family.samples
        }

    def test_read_when_asked(self) -> None:
        """A metric is what it is at the moment when somebody asks."""
        values = [1.0]
        self.observed.gauge("depth", "Depth.", lambda: values[0])
        self.observed.counter("things_total", "Things.", lambda: values[0] * 2)
        self.assertEqual(self.samples(), {("depth", ""): 1, ("things_total", ""): 2})
        values[0] = 5
        self.assertEqual(self.samples(), {("depth", ""): 5, ("things_total", ""): 10})

    def test_labels(self) -> None:
        """A mapping is a metric with a label."""
        self.observed.gauge("state", "State.", {"open": lambda: 0, "closed": lambda: 1}, "state")
        self.assertEqual(self.samples(), {("state", "open"): 0, ("state", "closed"): 1})

    def test_several_labels(self) -> None:
        """A table is a counter with several labels; what is not in it is not shown."""
        self.observed.counters(
            "calls_total", "Calls.", ("method", "code"), lambda: {("Get", "OK"): 3}
        )
        self.assertEqual(self.samples(), {("calls_total", "OK,Get"): 3})

    def test_histogram(self) -> None:
        """A distribution is a histogram: how many are not above each bound, and in all."""
        distribution = Distribution((1, 2))
        distribution.observe(0.5)
        distribution.observe(9)
        self.observed.histogram("seconds", "Seconds.", distribution)
        self.assertEqual(
            self.samples(),
            {
                ("seconds_bucket", "1.0"): 1,
                ("seconds_bucket", "2.0"): 1,
                ("seconds_bucket", "+Inf"): 2,
                ("seconds_count", ""): 2,
                ("seconds_sum", ""): 9.5,
            },
        )

    def test_unreadable(self) -> None:
        """A metric that cannot be read is left out and counted, told once in a while, and back when it can be read."""
        trouble: Exception | None = None

        def usage() -> float:
            if trouble is not None:
                raise trouble
            return 7

        self.observed.gauge("usage", "Usage.", usage)
        self.observed.gauge("depth", "Depth.", lambda: 1)
        with capturedLogs() as told:
            for count, error in enumerate((Unavailable("index: broken"), OSError("no disk")), 1):
                trouble = error
                self.assertEqual(self.samples(), {("depth", ""): 1})
                self.assertEqual(self.observed.left_out, count)
            self.assertEqual([event["trouble"] for event in told], ["index: broken"])
            self.clock.advance(TELL_SECONDS)
            self.samples()
            self.assertEqual(len(told), 2)
        trouble = None
        self.assertEqual(self.samples(), {("usage", ""): 7, ("depth", ""): 1})
