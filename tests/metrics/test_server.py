"""Tests of gorego_tw.metrics.server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from gorego_tw.metrics.server import observe_server
from gorego_tw.telemetry.observed import Observed
from tests.grpc.peer import Peer, text
from tests.grpc.test_protocol import ServedTestCase
from tests.metrics.reading import value


class ServerMetricsTests(ServedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.registry = CollectorRegistry()
        observe_server(Observed(self.registry, self.clock), self.factory)

    def value(self, name: str, *labels: str) -> float:
        """What a metric of the server says."""
        return value(self.registry, f"gorego_grpc_{name}", *labels)

    def test_requests(self) -> None:
        """Calls are counted by their method and by the status they end with."""
        self.peer.call("/t.T/Echo", text("a"))
        self.peer.call("/t.T/Echo", text("b"))
        self.peer.call("/t.T/Missing", text("c"))
        self.assertEqual(self.value("requests_total", "Echo", "OK"), 2)
        self.assertEqual(self.value("requests_total", "Missing", "NOT_FOUND"), 1)
        self.assertEqual(self.value("requests_total", "Missing", "OK"), 0)

    def test_in_flight(self) -> None:
        """A call is in flight until it has ended."""
        answer = self.peer.call("/t.T/Wait", text("a"))
        self.assertEqual(self.value("requests_in_flight"), 1)
        self.service.waits[0].callback(None)
        self.peer.exchange()
        self.assertTrue(answer.ended)
        self.assertEqual(self.value("requests_in_flight"), 0)

    def test_connections(self) -> None:
        """Connections are counted while they are open, and in all."""
        other = Peer(self.factory)
        self.assertEqual(self.value("connections"), 2)
        other.lose()
        self.assertEqual(self.value("connections"), 1)
        self.assertEqual(self.value("connections_opened_total"), 2)

    def test_bytes(self) -> None:
        """The messages of both directions are counted with their prefixes."""
        self.peer.call("/t.T/Echo", text("a"))
        self.peer.call("/t.T/Count", text("3"))
        request, reply = 5 + len(text("a")), 5 + len(text("0"))
        self.assertEqual(self.value("message_bytes_total", "received"), 2 * request)
        self.assertEqual(self.value("message_bytes_total", "sent"), 4 * reply)

    def test_streams(self) -> None:
        """Streams that are broken off or refused are counted by whose doing it was."""
        stream_id = self.peer.start("/t.T/Join")
        self.peer.exchange()
        self.peer.h2.reset_stream(stream_id)
        self.peer.exchange()
        self.assertEqual(self.value("streams_reset_total", "client"), 1)
        self.assertEqual(self.value("streams_reset_total", "server"), 0)
        self.assertEqual(self.value("streams_refused_total"), 0)
        self.assertEqual(self.value("requests_total", "Join", "CANCELLED"), 1)
