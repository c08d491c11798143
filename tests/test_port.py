"""Ports as services."""

from __future__ import annotations

import errno
import os

from twisted.application.service import IService
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gorego_tw.lifecycle import StartError
from gorego_tw.port import Port

IN_USE = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


@implementer(IStreamServerEndpoint)
class ClosedEndpoint:
    """An endpoint that cannot be listened on."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        return fail(self.error)


class PortTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactor()
        self.drained: Deferred[None] = Deferred()
        self.drains = 0
        endpoint = TCP4ServerEndpoint(self.reactor, 80, interface="127.0.0.1")
        self.port = Port(endpoint, Factory(), "listen_addr", self.drain)

    async def drain(self) -> None:
        self.drains += 1
        await self.drained

    def test_interface(self) -> None:
        """It is a service."""
        verifyObject(IService, self.port)

    def test_it_listens_from_its_start_on(self) -> None:
        """Before the start nothing is open."""
        self.assertEqual(self.reactor.tcpServers, [])
        self.assertIsNone(self.port.address)
        self.successResultOf(self.port.startService())
        self.assertEqual(len(self.reactor.tcpServers), 1)
        self.assertIsNotNone(self.port.address)

    def test_it_stops_after_its_connections(self) -> None:
        """The port closes first, then the calls have their time."""
        self.successResultOf(self.port.startService())
        stopping = Deferred.fromCoroutine(self.port.stopService())
        self.assertIsNone(self.port.address)
        self.assertEqual(self.drains, 1)
        self.assertNoResult(stopping)
        self.drained.callback(None)
        self.successResultOf(stopping)

    def test_stopping_what_is_not_open(self) -> None:
        """There is nothing to close and nobody to wait for."""
        self.successResultOf(self.port.stopService())
        self.assertEqual(self.drains, 0)

    def test_a_port_that_is_taken(self) -> None:
        """The start fails, with the key, the reason and what is allowed."""
        for error in (IN_USE, CannotListenError("127.0.0.1", 80, IN_USE)):
            port = Port(ClosedEndpoint(error), Factory(), "FILE: listen_addr: ':80'")
            failure = self.failureResultOf(port.startService(), StartError)
            self.assertEqual(
                str(failure.value),
                "FILE: listen_addr: ':80': cannot listen there: Address already in use; "
                "allowed: an address of this machine that is free and that we may use",
            )

    def test_a_reason_in_words(self) -> None:
        """A locked unix socket has no number of an error."""
        error = CannotListenError(None, "/run/g.sock", OSError("Cannot acquire lock"))
        port = Port(ClosedEndpoint(error), Factory(), "listen_addr")
        failure = self.failureResultOf(port.startService(), StartError)
        self.assertIn("Cannot acquire lock", str(failure.value))
