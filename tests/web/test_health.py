"""/healthz and /readyz"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.web.health import Health
from tests.web.requests import body, get, header


class HealthTests(SynchronousTestCase):
    def test_well(self) -> None:
        """All is well: 200."""
        request = get(Health(lambda: True))
        self.assertIn(request.responseCode, (None, 200))
        self.assertEqual(body(request), b"ok\n")

    def test_not_well(self) -> None:
        """Otherwise 503, which a load balancer understands, and which no cache may keep."""
        request = get(Health(lambda: False))
        self.assertEqual(request.responseCode, 503)
        self.assertEqual(header(request, "cache-control"), "no-store")
