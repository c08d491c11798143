"""Tests of gorego_tw.readiness."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.grpc.health import Health
from gorego_tw.pb.grpc.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from gorego_tw.readiness import LOOK_SECONDS, TELL_SECONDS, Readiness
from gorego_tw.web.health import Finding
from tests.reapi.fakes import FakeCall


class ReadinessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.health = Health()
        self.finding = Finding(True)
        for service in ("", "a.A"):
            self.health.set_status(service, True)
        self.readiness = Readiness({"disk": lambda: self.finding}, self.health, self.clock)
        self.readiness.startService()
        self.addCleanup(self.readiness.stopService)

    def is_serving(self, service: str) -> bool:
        """What the health service says."""
        answer = self.health.check(HealthCheckRequest(service=service), FakeCall())
        status = self.successResultOf(answer).status
        return bool(status == HealthCheckResponse.SERVING)

    def test_not_ready(self) -> None:
        """What /readyz finds wrong, the health service tells of each service; then that it is well again."""
        self.finding = Finding(False, "no space left")
        with capturedLogs() as events:
            self.clock.pump([LOOK_SECONDS] * 2)
            self.assertFalse(self.is_serving(""))
            self.assertFalse(self.is_serving("a.A"))
            self.finding = Finding(True)
            self.clock.pump([LOOK_SECONDS] * 2)
        self.assertTrue(self.is_serving("a.A"))
        self.assertEqual(
            [formatEvent(event) for event in events],
            ["not ready: disk: no space left", "ready again"],
        )

    def test_told_again(self) -> None:
        """What stays wrong is told again now and then, with what is wrong by then."""
        self.finding = Finding(False, "no space left")
        with capturedLogs() as events:
            self.clock.pump([LOOK_SECONDS] * int(TELL_SECONDS))
            self.assertEqual(len(events), 1)
            self.finding = Finding(False, "no room")
            self.clock.advance(LOOK_SECONDS)
        self.assertEqual(formatEvent(events[-1]), "not ready: disk: no room")
        self.assertEqual(len(events), 2)

    def test_from_the_beginning(self) -> None:
        """What is wrong at the start is told before anybody has asked."""
        health = Health()
        health.set_status("", True)
        readiness = Readiness({"disk": lambda: Finding(False, "full")}, health, self.clock)
        with capturedLogs():
            readiness.startService()
        self.addCleanup(readiness.stopService)
        answer = health.check(HealthCheckRequest(service=""), FakeCall())
        self.assertEqual(self.successResultOf(answer).status, HealthCheckResponse.NOT_SERVING)

    def test_not_required(self) -> None:
        """What decides nothing for /readyz decides nothing here."""
        self.finding = Finding(False, "down", required=False)
        self.clock.advance(LOOK_SECONDS)
        self.assertTrue(self.is_serving(""))
