"""Pages for whoever is on this machine."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.test.requesthelper import DummyRequest

from gorego_tw.web.health import Health
from gorego_tw.web.loopback import LoopbackOnly, is_here
from gorego_tw.web.root import Root
from tests.web.requests import body

HERE: tuple[IAddress, ...] = (
    IPv4Address("TCP", "127.0.0.1", 1),
    IPv4Address("TCP", "127.9.9.9", 1),
    IPv6Address("TCP", "::1", 1),
    IPv6Address("TCP", "::ffff:127.0.0.1", 1),
    UNIXAddress("/run/socket"),
)
ELSEWHERE: tuple[IAddress, ...] = (
    IPv4Address("TCP", "192.0.2.1", 1),
    IPv6Address("TCP", "2001:db8::1", 1),
    IPv6Address("TCP", "::ffff:192.0.2.1", 1),
    IPv6Address("TCP", "fe80::1%eth0", 1),
    HostnameAddress(b"localhost", 1),
)


class IsHereTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        """Loopback addresses of both kinds and unix sockets are here, others are not."""
        self.assertEqual([address for address in HERE if not is_here(address)], [])
        self.assertEqual([address for address in ELSEWHERE if is_here(address)], [])


class LoopbackOnlyTests(SynchronousTestCase):
    def code_of(self, page: Resource, path: bytes, peer: IAddress) -> int | None:
        """The code of the answer."""
        request: Any = DummyRequest([path])
        request.getClientAddress = lambda: peer
        request.render(LoopbackOnly(page).getChildWithDefault(path, request))
        code: int | None = request.responseCode
        return code

    def test_below(self) -> None:
        """What is below a page is for peers on this machine."""
        page = Root({"health": Health({})})
        self.assertIn(self.code_of(page, b"health", HERE[0]), (None, 200))
        self.assertEqual(self.code_of(page, b"health", ELSEWHERE[0]), 403)

    def test_names(self) -> None:
        """A browser that was led here by a name of somebody's own is refused; our own names do."""
        page = Root({"health": Health({})})
        names = ("localhost", "127.0.0.1:9090", "[::1]:9090", "192.0.2.1", "")
        for name, code in (*((name, None) for name in names), ("evil.example:9090", 403)):
            request: Any = DummyRequest([b"health"])
            request.getClientAddress = lambda: HERE[0]
            request.requestHeaders.setRawHeaders("host", [name])
            request.render(LoopbackOnly(page).getChildWithDefault(b"health", request))
            self.assertEqual((name, request.responseCode), (name, code))

    def test_forwarded(self) -> None:
        """What a request says of its origin changes nothing."""
        request: Any = DummyRequest([b"health"])
        request.getClientAddress = lambda: ELSEWHERE[0]
        for header in ("x-forwarded-for", "forwarded", "x-real-ip"):
            request.requestHeaders.setRawHeaders(header, ["127.0.0.1"])
        request.render(LoopbackOnly(Root({})).getChildWithDefault(b"health", request))
        self.assertEqual(request.responseCode, 403)

    def test_itself(self) -> None:
        """So is the page itself; who is refused is told who is not."""
        for peer, code, word in ((HERE[0], None, b"checks"), (ELSEWHERE[0], 403, b"debug_peers")):
            request: Any = DummyRequest([])
            request.getClientAddress = partial(tuple.__getitem__, (peer,), 0)
            request.render(LoopbackOnly(Health({})))
            self.assertEqual(request.responseCode, code)
            self.assertIn(word, body(request))
