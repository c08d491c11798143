"""/metrics"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.web.metrics import Metrics
from tests.web.requests import body, get, header


class MetricsTests(SynchronousTestCase):
    def setUp(self) -> None:
        registry = CollectorRegistry()
        Counter("apples", "Apples.", registry=registry).inc(3)
        self.page = Metrics(registry)

    def test_text(self) -> None:
        """Who does not ask for anything gets the text form, which parses."""
        request = get(self.page)
        self.assertTrue(str(header(request, "content-type")).startswith("text/plain"))
        families = list(text_string_to_metric_families(body(request).decode()))
        samples = {sample.name: sample.value for family in families for sample in family.samples}
        self.assertEqual(samples["apples_total"], 3)

    def test_open_metrics(self) -> None:
        """Prometheus asks for OpenMetrics and gets it."""
        request = get(self.page, accept="application/openmetrics-text; version=1.0.0")
        self.assertIn("application/openmetrics-text", str(header(request, "content-type")))
        self.assertTrue(body(request).endswith(b"# EOF\n"))
