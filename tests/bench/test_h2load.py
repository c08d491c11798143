"""bench.h2load"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.h2load import LoadError, Run, parse

REPORT = """
finished in 370.65ms, 53.96 req/s, 3.37GB/s
requests: 21 total, 21 started, 20 done, {succeeded} succeeded, 0 failed, 0 errored, 0 timeout
status codes: 20 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.25GB (1342938947) total, 210B (210) headers (space savings 87.04%), 1.25GB (13421) data
"""


class ParseTests(SynchronousTestCase):
    def test_report(self) -> None:
        """The requests answered, the seconds and the bytes of DATA are read."""
        self.assertEqual(parse(REPORT.format(succeeded=20)), Run(20, 0.37065, 13421))

    def test_failed_requests(self) -> None:
        """A report with a request that failed is no figure."""
        self.assertRaises(LoadError, parse, REPORT.format(succeeded=19))

    def test_no_report(self) -> None:
        """Anything else is no figure, and the error shows it."""
        error = self.assertRaises(LoadError, parse, "h2load: cannot connect")
        self.assertIn("cannot connect", str(error))
