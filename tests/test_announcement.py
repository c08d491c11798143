"""Telling that calls are taken."""

from __future__ import annotations

from socket import gethostname

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.announcement import Announcement, bazel_flags, metrics_page
from gorego_tw.grpc.health import Health
from gorego_tw.port import Port

LOOPBACK = IPv4Address("TCP", "127.0.0.1", 50051)


class RecordingHealth(Health):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, bool]] = []

    def set_status(self, service: str, serving: bool) -> None:
        self.told.append((service, serving))
        super().set_status(service, serving)


class AnnouncementTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.health = RecordingHealth()
        endpoint = TCP4ServerEndpoint(MemoryReactor(), 50051, interface="127.0.0.1")
        self.port = Port(endpoint, Factory(), "listen_addr")
        self.successResultOf(self.port.startService())
        self.flags = bazel_flags(self.port.address)
        self.announcement = self.announce(self.port)

    def announce(self, web: Port | None) -> Announcement:
        """One of a cache that has more than its limit."""
        used, limit = 4_200_000_000, 3_500_000_000
        return Announcement(
            self.health, ["a.B"], "/c", limit, self.port, used=lambda: used, web=web
        )

    def test_at_the_start(self) -> None:
        """The log says where the cache is, how large it is and may grow, where metrics are and what to call Bazel with."""
        page = f"metrics are on {metrics_page(self.port.address)}"
        for web, lines in ((self.port, [page]), (None, [])):
            with capturedLogs() as events:
                self.announce(web).startService()
            self.assertEqual(
                [formatEvent(event) for event in events],
                [
                    "the cache is in /c, has 4.2 GB and may grow to 3.5 GB",
                    *lines,
                    f"ready; for Bazel: {self.flags}",
                ],
            )

    def test_health(self) -> None:
        """The server and its services are serving from the start on, and not from the stop on."""
        self.announcement.startService()
        self.assertEqual(self.health.told, [("", True), ("a.B", True)])
        del self.health.told[:]
        self.announcement.stopService()
        self.assertEqual(self.health.told, [("", False), ("a.B", False)])


class BazelFlagsTests(SynchronousTestCase):
    def test_each_kind_of_address(self) -> None:
        """The flags lead to where the server listens, from another machine if it listens to others."""
        expected: dict[IAddress | None, str] = {
            LOOPBACK: "--remote_cache=grpc://127.0.0.1:50051",
            IPv4Address("TCP", "0.0.0.0", 1): f"--remote_cache=grpc://{gethostname()}:1",
            IPv6Address("TCP", "::", 1): f"--remote_cache=grpc://{gethostname()}:1",
            IPv6Address("TCP", "::1", 1): "--remote_cache=grpc://[::1]:1",
            UNIXAddress("/g.sock"): ("--remote_cache=grpc://localhost --remote_proxy=unix:/g.sock"),
            None: "--remote_cache=grpc://HOST:PORT (listening on None)",
        }
        for address, flags in expected.items():
            self.assertEqual(bazel_flags(address), flags)


class MetricsPageTests(SynchronousTestCase):
    def test_each_kind_of_address(self) -> None:
        """The page is at an address for curl where there is one, else it is said where it listens."""
        expected: dict[IAddress | None, str] = {
            IPv4Address("TCP", "127.0.0.1", 9090): "http://127.0.0.1:9090/metrics",
            IPv6Address("TCP", "::1", 1): "http://[::1]:1/metrics",
            UNIXAddress("/m.sock"): "/metrics of unix:/m.sock",
            None: "/metrics of None",
        }
        for address, page in expected.items():
            self.assertEqual(metrics_page(address), page)
