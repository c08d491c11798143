"""/healthz and /readyz"""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.web.health import Finding, Health
from tests.web.requests import body, get, header


class HealthTests(SynchronousTestCase):
    def ask(self, **findings: Finding) -> tuple[int | None, dict[str, Any]]:
        """The code and the object that those findings make."""
        checks = {name: lambda finding=finding: finding for name, finding in findings.items()}
        request = get(Health(checks))
        self.assertEqual(header(request, "content-type"), "application/json")
        self.assertEqual(header(request, "cache-control"), "no-store")
        return request.responseCode, json.loads(body(request))

    def test_well(self) -> None:
        """All is well: 200, with each check, its age and its reason."""
        code, told = self.ask(disk=Finding(True, "written", 1.23456))
        self.assertIn(code, (None, 200))
        finding = {"ok": True, "reason": "written", "age_seconds": 1.235, "required": True}
        self.assertEqual(told, {"ok": True, "checks": {"disk": finding}})

    def test_not_well(self) -> None:
        """Otherwise 503, which a load balancer understands."""
        code, told = self.ask(disk=Finding(False, "full"), process=Finding(True))
        self.assertEqual((code, told["ok"]), (503, False))
        self.assertEqual(told["checks"]["disk"]["reason"], "full")
        self.assertTrue(told["checks"]["process"]["ok"])

    def test_not_required(self) -> None:
        """What is not required is told, and decides nothing."""
        code, told = self.ask(backing=Finding(False, "open", required=False))
        self.assertIn(code, (None, 200))
        self.assertTrue(told["ok"])
        self.assertFalse(told["checks"]["backing"]["ok"])
