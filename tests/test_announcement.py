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

from gorego_tw.announcement import Announcement, bazel_flags
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
        port = Port(endpoint, Factory(), "listen_addr")
        self.successResultOf(port.startService())
        self.flags = bazel_flags(port.address)
        self.announcement = Announcement(self.health, ["a.B"], "/c", 3_500_000_000, port)

    def test_at_the_start(self) -> None:
        """The log says where the cache is, how large it may grow and what to call Bazel with."""
        with capturedLogs() as events:
            self.announcement.startService()
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                "the cache is in /c and may grow to 3.5 GB",
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
