"""Tests of gorego_tw.telemetry.access_log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.access_log import AccessLog
from gorego_tw.telemetry.span import DISK, UPSTREAM, LocalRoot, Value
from tests.telemetry.recording import Recording

TOLD: Mapping[str, Value] = {
    "reapi.digest.hash": "abc",
    "reapi.digest.size_bytes": 12,
    "network.peer.address": "127.0.0.1",
    "reapi.tool_invocation_id": "build",
    "rpc.system": "grpc",
}


class AccessLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.numbers: Iterator[float] = iter([])
        self.log = AccessLog(1.0, lambda _: TOLD, lambda: next(self.numbers))

    def ended(self) -> LocalRoot:
        """A call that took 1.5 seconds."""
        root = self.recording.root()
        self.recording.clock.advance(1.5)
        root.spend(DISK, 0.25)
        root.spend(UPSTREAM, 1)
        root.own.code = "OK"
        root.ended = self.recording.now()
        return root

    def test_line(self) -> None:
        """A line says which call, how it ended, for which blob and whom, and what it spent its time on."""
        self.numbers = iter([0.5])
        with capturedLogs() as events:
            self.log(self.ended())
        (event,) = events
        self.assertEqual(formatEvent(event), "Get OK 1500.0 ms")
        told = {"digest": "abc", "size_bytes": 12, "peer": "127.0.0.1"}
        told |= {"tool_invocation_id": "build", "disk_ms": 250, "upstream_ms": 1000}
        self.assertLessEqual(told.items(), event.items())
        self.assertNotIn("instance_name", event)

    def test_sampling(self) -> None:
        """Of all calls that part has a line which was asked for."""
        self.log.ratio = 0.5
        self.numbers = iter([0.0, 0.49, 0.5, 0.99])
        with capturedLogs() as events:
            for _ in range(4):
                self.log(self.ended())
        self.assertEqual(len(events), 2)
