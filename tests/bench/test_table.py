"""bench.table"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.table import row
from bench.workload import Figure

OURS = [Figure(400, 10), Figure(900, 11), Figure(500, 12)]
THEIRS = [Figure(100, 50), Figure(300, 60), Figure(100, 70)]


class RowTests(SynchronousTestCase):
    def test_medians(self) -> None:
        """A row has the median rates and times, and the median of the rounds' ratios."""
        words = row("a load", 4, OURS, THEIRS).split()
        self.assertEqual(words[2:5], ["500", "100", "4.00"])
        self.assertEqual(words[-2:], ["11.0", "60.0"])

    def test_verdict(self) -> None:
        """A ratio at or above the required one is reached, one below it is short."""
        self.assertIn(">= 4   reached", row("a load", 4, OURS, THEIRS))
        self.assertIn(">= 4.5   SHORT", row("a load", 4.5, OURS, THEIRS))

    def test_for_information(self) -> None:
        """Where nothing is required there is no verdict."""
        text = row("a load", 0, OURS, THEIRS)
        self.assertNotIn("reached", text)
        self.assertNotIn("SHORT", text)
