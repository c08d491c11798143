"""Finding in an expression what it asks for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.etc.promql import Selector, selectors


class SelectorTests(SynchronousTestCase):
    def test_metrics(self) -> None:
        """Functions, aggregations, labels, ranges, numbers and words of the language are no metrics."""
        expression = """
            histogram_quantile(0.99, sum by (job, le) (rate(a_bucket[5m]))) > 1e3
            and on (job) job:b:rate5m offset 5m or vector(0) unless c - time() > bool 14 * 86400
        """
        self.assertEqual(
            list(selectors(expression)),
            [Selector("a_bucket", {}), Selector("job:b:rate5m", {}), Selector("c", {})],
        )

    def test_labels(self) -> None:
        """Labels are told with all values that are named."""
        self.assertEqual(
            list(selectors('sum(a{x="1",y=~"2|3", z!="4"}) without (w) / b{v="5"}')),
            [Selector("a", {"x": ["1"], "y": ["2", "3"], "z": ["4"]}), Selector("b", {"v": ["5"]})],
        )
