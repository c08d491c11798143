"""Tests of gorego_tw.remote.http_connections, with a server on a socket."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.body import BytesBody
from gorego_tw.errors import FailedPrecondition
from gorego_tw.remote.http_blobs import HTTPBlobs
from gorego_tw.remote.http_connections import CLOSING_SECONDS, ClosingInTime
from tests.remote.cache import blob
from tests.remote.http_server import HTTPTestCase

REFUSAL = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"


class Transport(StringTransportWithDisconnection):
    """One that closes only if it is aborted, as with a peer that takes nothing.

    :ivar aborted: whether it was.
    """

    aborted = False

    def loseConnection(self) -> None:
        """Wait for what was written to be sent."""

    def abortConnection(self) -> None:
        """Wait for nothing."""
        self.aborted = True
        super().loseConnection()


class ClosingInTimeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        factory: Any = Factory()
        factory.registerProtocol = factory.unregisterProtocol = lambda _: None
        wrapped: IProtocol = Protocol()
        self.transport = Transport()
        self.wrapper: Any = ClosingInTime(self.clock, factory, wrapped)
        self.transport.protocol = self.wrapper
        self.wrapper.makeConnection(self.transport)

    def test_late(self) -> None:
        """What does not close in time is aborted, whether it was closed or read no more."""
        self.wrapper.stopProducing()
        self.wrapper.loseConnection()
        self.clock.advance(CLOSING_SECONDS - 1)
        self.assertFalse(self.transport.aborted)
        self.clock.advance(1)
        self.assertTrue(self.transport.aborted)

    def test_in_time(self) -> None:
        """What closes in time is left alone."""
        self.wrapper.loseConnection()
        StringTransportWithDisconnection.loseConnection(self.transport)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_closed(self) -> None:
        """What is lost without being closed has no timer."""
        StringTransportWithDisconnection.loseConnection(self.transport)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class EarlyAnswer(Protocol):
    """Answers when the first bytes have come, and reads no more until it is told to.

    :ivar lost: fires with the end of the connection.
    """

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """The beginning of a request; what is read later is nothing."""
        transport: Any = self.transport
        if data.startswith(b"PUT"):
            transport.pauseProducing()
            transport.write(REFUSAL)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is gone."""
        self.lost.callback(None)


class EarlyAnswerTests(HTTPTestCase):
    async def test_reads_no_more(self) -> None:
        """A server that refuses a blob before it has all of it, and reads no more, keeps neither the
        blob open nor the connection.
        """
        await self.stop_listening()
        server = EarlyAnswer()
        factory: Any = Factory.forProtocol(lambda: server)
        self.port = self.clock.listenTCP(0, factory, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port.getHost().port}"
        self.patch(ClosingInTime, "seconds", 0.1)
        digest, data = blob(50_000_000)
        closed: Deferred[None] = Deferred()

        class Body(BytesBody):
            async def chunks(self, offset: int = 0, end: int | None = None) -> Any:
                try:
                    for start in range(0, len(self.data), 1 << 20):
                        yield self.data[start : start + (1 << 20)]
                finally:
                    closed.callback(None)

        blobs = HTTPBlobs(self.make_peer())
        await self.failed(blobs.put(digest, Body(data)), FailedPrecondition)
        await closed
        transport: Any = server.transport
        transport.resumeProducing()
        await server.lost
