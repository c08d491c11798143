"""A plain HTTP cache on a socket, made of twisted.web, that does as the test wants."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.tcp import Client, Server
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from gorego_tw.forwarding import Metadata
from gorego_tw.remote.breaker import Breaker
from gorego_tw.remote.http_connections import HTTPConnections
from gorego_tw.remote.http_peer import HTTPPeer
from gorego_tw.remote.retry import Retrying


class Files(Resource):
    """What is kept, by path.

    :ivar files: it.
    :ivar asked: of each request its method and path, with the range if there was one.
    :ivar headers: those of the last request.
    :ivar codes: what the next requests are answered with, before anything is looked at.
    :ivar retry_after: sent with those.
    :ivar stalls: the codes of the next responses, whose bodies do not go on.
    :ivar begun: what comes of those, beside the head.
    :ivar cuts: after how many bytes of its body the next responses break off.
    :ivar ranges: whether it knows them.
    :ivar silent: whether it takes requests and says nothing.
    :ivar has_length: whether it says how long a body is.
    :ivar lie: what it says that a body's length is beyond what it is.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}
        self.codes: list[int] = []
        self.retry_after = ""
        self.stalls: list[int] = []
        self.begun = b"page"
        self.cuts: list[int] = []
        self.ranges = True
        self.silent = False
        self.lie = 0
        self.has_length = True

    def render(self, request: Request) -> Any:
        """Answer."""
        path = request.path.decode().removeprefix("/")
        found = request.getHeader("range") or ""
        self.asked.append(f"{request.method.decode()} {path} {found}".rstrip())
        raw = request.requestHeaders.getAllRawHeaders()
        self.headers = {name.decode().lower(): values[0].decode() for name, values in raw}
        if self.silent:
            return NOT_DONE_YET
        if self.stalls:
            request.setResponseCode(self.stalls.pop(0))
            request.setHeader("content-length", "10")
            request.write(self.begun)
            return NOT_DONE_YET
        if self.codes:
            request.setResponseCode(self.codes.pop(0))
            if self.retry_after:
                request.setHeader("retry-after", self.retry_after)
            return b"a page for people"
        if request.method == b"PUT":
            content: Any = request.content
            self.files[path] = content.read()
            request.setResponseCode(201)
            return b""
        return self._get(request, path, found)

    def _get(self, request: Request, path: str, found: str) -> Any:
        data = self.files.get(path)
        if data is None:
            request.setResponseCode(404)
            return b"no such file"
        if found and self.ranges:
            start = int(found.removeprefix("bytes=").removesuffix("-"))
            request.setResponseCode(206)
            request.setHeader("content-range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            data = data[start:]
        if not self.has_length:
            request.clientproto = (
                b"HTTP/1.0"  # so that it ends with the connection, and is not chunked
            )
            request.write(data)
            request.channel.loseConnection()
            return NOT_DONE_YET
        request.setHeader("content-length", str(len(data) + self.lie))
        if request.method == b"HEAD":
            return b""
        if self.cuts or self.lie:
            request.write(data[: self.cuts.pop(0)] if self.cuts else data)
            request.channel.loseConnection()
            return NOT_DONE_YET
        return data


class HTTPTestCase(TestCase):
    """Has a server and a peer of it."""

    timeout = 20  # seconds; a hang is a failure of one test

    def setUp(self) -> None:
        self.clock: Any = reactor
        self.there = Files()
        site: Any = Site(self.there)
        self.port: Any = self.clock.listenTCP(0, site, interface="127.0.0.1")
        address: Any = self.port.getHost()
        self.url = f"http://127.0.0.1:{address.port}"
        self.addCleanup(self.stop_listening)
        self.pool = HTTPConnections(self.clock, 4)
        self.addCleanup(self.gone)
        self.peer = self.make_peer()

    async def gone(self) -> None:
        """Close the connections, after what was left of responses has been read."""
        await self.turns()
        await self.pool.closeCachedConnections()
        while self.connections():
            await self.turns()

    def connections(self) -> int:
        """How many there are, from here or to here."""
        descriptors = {*self.clock.getReaders(), *self.clock.getWriters()}
        return sum(isinstance(descriptor, Client | Server) for descriptor in descriptors)

    async def turns(self, seconds: float = 0.01) -> None:
        """Let both sides have some turns of the reactor."""
        passed: Deferred[None] = Deferred()
        self.clock.callLater(seconds, passed.callback, None)
        await passed

    def make_peer(
        self,
        *,
        retries: int = 2,
        seconds: float = 5,
        headers: Metadata = (),
        most: int = 64,
    ) -> HTTPPeer:
        """The server as a peer."""
        self.breaker = Breaker("the peer", clock=self.clock)
        return HTTPPeer(
            Agent(self.clock, pool=self.pool),
            self.url,
            headers=headers,
            breaker=self.breaker,
            retrying=Retrying(retries, clock=self.clock, random=Random(1)),
            seconds=seconds,
            clock=self.clock,
            most=most,
        )

    async def failed(self, doing: Any, kind: type[Exception]) -> Any:
        """The failure that it ends with."""
        with self.assertRaises(kind) as caught:
            await doing
        return caught.exception

    async def stop_listening(self) -> None:
        """Let nobody connect any more."""
        await maybeDeferred(self.port.stopListening)
