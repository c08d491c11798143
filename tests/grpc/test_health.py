"""Tests of gorego_tw.grpc.health."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.grpc.health import Health
from gorego_tw.grpc.router import IRPCService
from gorego_tw.pb.grpc.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from tests.grpc.peer import Answer, Peer, serving

CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
SERVING, NOT_SERVING, UNKNOWN = (
    HealthCheckResponse.SERVING,
    HealthCheckResponse.NOT_SERVING,
    HealthCheckResponse.SERVICE_UNKNOWN,
)


class HealthTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.health = Health()
        self.peer = Peer(serving(self.health)[0])
        self.addCleanup(self.peer.lose)

    def ask(self, path: str, service: str = "") -> Answer:
        return self.peer.call(path, HealthCheckRequest(service=service).SerializeToString())

    def statuses(self, answer: Answer) -> list[int]:
        return [HealthCheckResponse.FromString(message).status for message in answer.messages]

    def test_interface(self) -> None:
        """Health is a service."""
        verifyObject(IRPCService, self.health)

    def test_check(self) -> None:
        """The server is not serving until it is told that it is."""
        self.assertEqual(self.statuses(self.ask(CHECK)), [NOT_SERVING])
        self.health.set_status("", True)
        self.assertEqual(self.statuses(self.ask(CHECK)), [SERVING])

    def test_unknown_service(self) -> None:
        """Check of an unknown service is NOT_FOUND (health.proto)."""
        self.assertEqual(self.ask(CHECK, "x.Y").status, ("5", "health: no service 'x.Y' here"))

    def test_watch(self) -> None:
        """A watcher gets the status at once, each change once, and the end with the server's."""
        answer = self.ask(WATCH)
        self.health.set_status("", True)
        self.health.set_status("", True)
        self.peer.exchange()
        self.health.close()
        self.peer.exchange()
        self.assertEqual(self.statuses(answer), [NOT_SERVING, SERVING, NOT_SERVING])
        self.assertEqual(answer.status, ("0", None))

    def test_watch_unknown(self) -> None:
        """A watcher of an unknown service is told so and hears when it appears."""
        answer = self.ask(WATCH, "x.Y")
        self.health.set_status("x.Y", True)
        self.peer.exchange()
        self.assertEqual(self.statuses(answer), [UNKNOWN, SERVING])

    def test_set_all(self) -> None:
        """All services change together."""
        self.health.set_status("x.Y", True)
        self.health.set_all(False)
        self.assertEqual(self.statuses(self.ask(CHECK, "x.Y")), [NOT_SERVING])

    def test_watcher_leaves(self) -> None:
        """A watcher that goes away is forgotten."""
        self.ask(WATCH)
        self.peer.h2.reset_stream(1, 8)
        self.peer.exchange()
        self.health.set_status("", True)
        self.assertEqual(self.peer.protocol.open_calls, 0)
