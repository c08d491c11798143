"""Tests of gorego_tw.remote.bulk: of connections to a server on a socket."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IProtocol, IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import NotFound, Unavailable
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadRequest
from gorego_tw.remote.bulk.connection import BulkConnection
from gorego_tw.remote.bulk.connections import BulkConnections, bypasses_proxy
from gorego_tw.remote.bulk.request import header_block
from gorego_tw.remote.bulk.room import Room
from gorego_tw.remote.target import Target
from tests.remote.bulk.stream import SETTINGS, answer, data, headers, message
from tests.remote.peer import PeerTestCase

HEADERS = header_block("/google.bytestream.ByteStream/Read", "localhost", (("own", "mine"),))
REQUEST = ReadRequest(resource_name="x").SerializeToString()


class FailingEndpoint:
    """Nobody is reached there.

    :param connecting: what an attempt ends with.
    """

    def __init__(self, connecting: Deferred[IProtocol]) -> None:
        self._connecting = connecting

    def connect(self, factory: Factory) -> Deferred[IProtocol]:
        """Try."""
        return self._connecting


class BulkTestCase(PeerTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.bulk = self.make_bulk()

    def make_bulk(self, seconds: float = 5.0, most: int = 2) -> BulkConnections:
        """Connections to the server."""
        bulk = BulkConnections(Target("unix", self.path), reactor, seconds, most)
        self.addCleanup(bulk.close)
        return bulk

    async def read(self, bulk: BulkConnections | None = None, room: Room | None = None) -> bytes:
        """All of an answer."""
        bulk = bulk or self.bulk
        connection = await bulk.acquire()
        try:
            connection.ask(HEADERS, REQUEST, room or Room())
            found = b""
            while piece := await connection.next():
                found += piece
            return found
        finally:
            bulk.release(connection)


class ReadTests(BulkTestCase):
    async def test_read(self) -> None:
        """The data of all messages, small and large, and the metadata arrives there."""
        self.service.pieces = [b"one", b"", bytes(3_000_000), b"two"]
        self.assertEqual(await self.read(), b"".join(self.service.pieces))
        self.assertEqual(self.service.calls[0][2], "mine")

    async def test_into_the_room(self) -> None:
        """The data is put into the memory that is given for it, and nowhere else."""
        self.service.pieces = [bytes(range(256)) * 4000] * 3
        memory = bytearray(4_000_000)
        connection = await self.bulk.acquire()
        room, at = Room(), 0
        room.take_from(lambda: memoryview(memory)[at : at + 700_000])
        connection.ask(HEADERS, REQUEST, room)
        while piece := await connection.next():
            self.assertIs(piece.obj, memory)
            at += len(piece)
        self.bulk.release(connection)
        self.assertEqual(memory, b"".join(self.service.pieces).ljust(len(memory), b"\0"))

    async def test_more_comes_meanwhile(self) -> None:
        """What comes while the reader is busy with a piece waits for it, wherever in a message that is."""
        self.service.pieces = [bytes([number]) * 65_536 for number in range(100)]
        connection = await self.bulk.acquire()
        connection.ask(HEADERS, REQUEST, Room())
        found = b""
        while piece := await connection.next():
            found += piece
            await deferLater(cast(IReactorTime, reactor), 0.001)
        self.bulk.release(connection)
        self.assertEqual(found, b"".join(self.service.pieces))

    async def test_used_again(self) -> None:
        """One call after the other goes over the same connection, a failed one too."""
        self.service.failures = [NotFound("none")]
        await self.failed(self.read(), NotFound)
        self.service.pieces = [b"data"]
        for _ in range(3):
            self.assertEqual(await self.read(), b"data")
        self.assertEqual(self.factory.connections, 1)

    async def test_at_the_same_time(self) -> None:
        """Calls at the same time have connections of their own, up to a bound."""
        self.service.held = True
        calls = [Deferred.fromCoroutine(self.read()) for _ in range(2)]
        await self.turns()
        self.assertEqual((self.factory.connections, self.bulk.in_flight), (2, 2))
        self.assertFalse(self.bulk.have_room)
        self.service.pieces = [b"x"]
        self.service.release()
        for call in calls:
            self.assertEqual(await call, b"x")
        self.assertTrue(self.bulk.have_room)

    async def test_broken_off(self) -> None:
        """What is broken off ends the call there, and the connection; the next has a new one."""
        self.service.pieces = [bytes(1 << 20)] * 100
        connection = await self.bulk.acquire()
        connection.ask(HEADERS, REQUEST, Room())
        await connection.next()
        self.bulk.release(connection)
        await self.turns()
        self.assertLess(self.service.taken, 100)
        self.assertEqual((self.factory.connections, self.bulk.in_flight), (0, 0))
        self.service.pieces = [b"x"]
        self.assertEqual(await self.read(), b"x")

    async def test_slow_reader(self) -> None:
        """Who does not ask for more is sent no more than the window and the sockets hold."""
        self.service.pieces = [bytes(1 << 20)] * 100
        connection = await self.bulk.acquire()
        connection.ask(HEADERS, REQUEST, Room())
        await connection.next()
        await self.turns(0.3)
        self.assertLess(self.service.taken, 20)
        self.bulk.release(connection)

    async def test_hangs(self) -> None:
        """A peer that says nothing is given up."""
        self.service.held = True
        error = await self.failed(self.read(self.make_bulk(seconds=0.1)), Unavailable)
        self.assertEqual(error.message, "backing cache: deadline exceeded after 0.1 s")
        await self.turns()
        self.assertEqual(self.service.cancelled, 1)

    async def test_cancelled(self) -> None:
        """Who leaves while it waits breaks the call off."""
        self.service.held = True
        reading = Deferred.fromCoroutine(self.read())
        await self.turns()
        reading.cancel()
        await self.failed(reading, CancelledError)
        await self.turns()
        self.assertEqual((self.service.cancelled, self.factory.connections), (1, 0))

    async def test_nobody_there(self) -> None:
        """A peer that is not there is in trouble, and the place is free again."""
        await self.port.stopListening()
        error = await self.failed(self.read(), Unavailable)
        self.assertIn("backing cache: no connection", error.message)
        self.assertEqual(self.bulk.in_flight, 0)

    async def test_no_such_host(self) -> None:
        """A name that nobody knows is trouble too."""
        endpoint = self.patch(self.bulk, "_endpoint", FailingEndpoint(fail(DNSLookupError())))
        await self.failed(self.read(), Unavailable)
        endpoint.restore()

    async def test_leaving_while_it_connects(self) -> None:
        """Who breaks off while it connects has no trouble, whatever the endpoint makes of that."""
        for failure in (
            DNSLookupError(),
            ConnectingCancelledError(IPv4Address("TCP", "127.0.0.1", 1)),
        ):
            connecting: Deferred[IProtocol] = Deferred(partial(Deferred.errback, fail=failure))
            endpoint = self.patch(self.bulk, "_endpoint", FailingEndpoint(connecting))
            reading = Deferred.fromCoroutine(self.read())
            reading.cancel()
            await self.failed(reading, CancelledError)
            endpoint.restore()

    async def test_closed(self) -> None:
        """When all are closed what is under way ends, and nothing more is begun."""
        self.service.held = True
        reading = Deferred.fromCoroutine(self.read())
        await self.turns()
        self.bulk.close()
        await self.failed(reading, Unavailable)
        self.assertFalse(self.bulk.have_room)


class Scripted(Protocol):
    """A server that sends what the test gives it, as soon as it is asked something."""

    says = b""
    ends = False

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(self.says)
        if self.ends:
            self.transport.loseConnection()


class OddPeerTests(BulkTestCase):
    def serve(self, services: object) -> None:
        """Listen, with nothing of ours behind."""
        clock: Any = reactor
        self.server: type[Scripted] = type("Server", (Scripted,), {})
        self.port = clock.listenUNIX(self.path, Factory.forProtocol(self.server))
        self.addCleanup(self.port.stopListening)

    async def gone(self) -> None:
        """Nothing waits for those here."""

    async def test_closes_between_calls(self) -> None:
        """A connection that the peer has closed meanwhile is not used again."""
        self.server.says, self.server.ends = answer(message(b"one")), True
        self.assertEqual(await self.read(), b"one")
        await self.turns()
        self.assertEqual(await self.read(), b"one")

    async def test_closes_in_a_call(self) -> None:
        """What had come is given out, and then it is trouble."""
        self.server.says, self.server.ends = SETTINGS + headers() + data(message(b"half")), True
        connection = await self.bulk.acquire()
        connection.ask(HEADERS, REQUEST, Room())
        self.assertEqual(await connection.next(), b"half")
        error = await self.failed(connection.next(), Unavailable)
        self.assertIn("backing cache: connection lost", error.message)
        self.bulk.release(connection)

    async def test_not_http2(self) -> None:
        """A peer that speaks something else is in trouble, and is hung up on."""
        self.server.says = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        error = await self.failed(self.read(), Unavailable)
        self.assertIn("backing cache: it broke HTTP/2", error.message)
        self.assertEqual(self.bulk.in_flight, 0)


class ConnectionTests(SynchronousTestCase):
    def test_proxy(self) -> None:
        """Where gRPC goes through a proxy we do not go past it."""
        self.assertTrue(bypasses_proxy({"no_proxy": "x", "http_proxy": ""}))
        for name in ("http_proxy", "https_proxy", "grpc_proxy"):
            self.assertFalse(bypasses_proxy({name: "proxy:1"}))

    def test_never_connected(self) -> None:
        """A connection that was never made can be dropped."""
        clock: Any = reactor
        connection = BulkConnection(clock, 1.0, bool)
        connection.abort()
        self.assertFalse(connection.reusable)
