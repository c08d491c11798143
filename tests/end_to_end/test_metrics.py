"""The metrics of a daemon that has all of them, and what is in etc/ and README.rst about them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families

from gorego_tw.errors import Code
from tests.end_to_end.certificates import Authority
from tests.end_to_end.daemon import CHECKOUT, DaemonTestCase, free_port
from tests.end_to_end.pages import page
from tests.end_to_end.traced import backing_cache
from tests.etc.files import ALERTS, RECORDING, marks, queries, rules
from tests.etc.promql import selectors
from tests.tools import run, tool

#: What Prometheus knows by itself.
ITS_OWN = frozenset({"up", "ALERTS"})

#: What it adds to all that it scrapes.
TARGET = frozenset({"job", "instance"})

#: Statuses are there from the first call that ends with them.
LATER = {"code": {code.name for code in Code}}

#: In a text; what follows a colon is the name of a recorded one.
METRIC = re.compile(r"(?<![:\w])gorego_[a-z]+_[a-z_]+[a-z]\b")


class MetricsTests(DaemonTestCase):
    """Neither the backing cache nor the collector of this daemon is there: it need only have them."""

    def setUp(self) -> None:
        super().setUp()
        nowhere = f"127.0.0.1:{free_port()}"
        ca_file = str(Authority(self.make_folder()).cert)
        daemon = self.make_daemon(
            GOREGO_TELEMETRY_TRACING_ENDPOINT=f"http://{nowhere}",
            **backing_cache(f"grpcs://{nowhere}", tls_ca_file=ca_file),
        )
        daemon.metrics_addr = f"127.0.0.1:{free_port()}"
        daemon.start()
        self.text = page(daemon, "/metrics").text

    def test_all(self) -> None:
        """Promtool has nothing to say against the metrics, and all that are written of are there."""
        # One test, for one daemon.
        self.check_expressions()
        self.check_texts()
        self.check_names()

    def check_names(self) -> None:
        """Names, types and help texts are as Prometheus wants them."""
        code, said = run(tool("promtool"), "check", "metrics", given=self.text)
        self.assertEqual((code, said), (0, ""))

    def check_expressions(self) -> None:
        """Every metric that a rule or the dashboard asks for is there, with its labels and their values."""
        there = self.labels()
        for expression in expressions():
            for selector in selectors(expression):
                if selector.metric in ITS_OWN or ":" in selector.metric:
                    continue
                self.assertIn(selector.metric, there, expression)
                labels = {**there[selector.metric], **LATER}
                for label in selector.labels.keys() - TARGET:
                    self.assertIn(label, labels, expression)
                    self.assertLessEqual(set(selector.labels[label]), labels[label], expression)

    def check_texts(self) -> None:
        """So is what alerts and README.rst tell people to look at."""
        readme = (CHECKOUT / "README.rst").read_text(encoding="utf-8")
        families = (family.name for family in text_string_to_metric_families(self.text))
        there = self.labels().keys() | set(families)
        for text in (readme, *(rule["annotations"]["description"] for rule in rules(ALERTS))):
            self.assertEqual(set(METRIC.findall(text)) - there, set())

    def labels(self) -> Mapping[str, Mapping[str, set[str]]]:
        """Of each metric the labels, of each label the values."""
        found: dict[str, dict[str, set[str]]] = {}
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                labels = found.setdefault(sample.name, {})
                for label, value in sample.labels.items():
                    labels.setdefault(label, set()).add(value)
        return found


def expressions() -> Iterator[str]:
    """All of the rules and of the dashboard."""
    yield from (rule["expr"] for path in (RECORDING, ALERTS) for rule in rules(path))
    yield from (query.expression for query in (*queries(), *marks()))
