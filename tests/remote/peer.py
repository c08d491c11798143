"""A backing cache on a socket, served by our own server, as the test wants it."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from gorego_tw.forwarding import VIA, Metadata
from gorego_tw.grpc.factory import GRPCFactory
from gorego_tw.grpc.router import (
    Buffers,
    Call,
    IRPCService,
    Method,
    client_streaming,
    server_streaming,
    unary,
)
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.pb.google.bytestream.bytestream_pb2 import (
    ReadRequest,
    ReadResponse,
    WriteRequest,
    WriteResponse,
)
from gorego_tw.remote.breaker import Breaker
from gorego_tw.remote.bridge import deferred
from gorego_tw.remote.bulk.connections import BulkConnections
from gorego_tw.remote.connections import MOST_IN_FLIGHT, Connections
from gorego_tw.remote.link import Link
from gorego_tw.remote.retry import Retrying
from gorego_tw.remote.target import Target
from gorego_tw.via import Station

E = TypeVar("E", bound=Exception)


@implementer(IRPCService)
class ScriptedService:
    """A few methods of a backing cache that do as they are told.

    :ivar failures: what the next calls fail with, one each.
    :ivar held: whether calls wait until they are released.
    :ivar held_at_the_end: whether a Read does not end after its last piece.
    :ivar pieces: what a Read answers.
    :ivar taken: how many messages of the last Read were sent, or taken of the last Write.
    :ivar answer_after: after how many messages a Write is answered.
    :ivar calls: of each call its path and chosen metadata.
    :ivar ways: of each call through which daemons it has come.
    :ivar cancelled: how many calls were cancelled by the client.
    """

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.held = False
        self.held_at_the_end = False
        self._waiting: list[Deferred[None]] = []
        self.pieces: list[bytes] = []
        self.taken = 0
        self.answer_after: int | None = None
        self.calls: list[tuple[str, str | None, str | None]] = []
        self.ways: list[str | None] = []
        self.cancelled = 0
        self.written = b""
        self.result: pb.ActionResult | None = None
        self.capabilities = pb.ServerCapabilities()

    def methods(self) -> Mapping[str, Method]:
        """Those that the tests of a link need."""
        reapi = "/build.bazel.remote.execution.v2."
        return {
            f"{reapi}Capabilities/GetCapabilities": unary(
                pb.GetCapabilitiesRequest, self.get_capabilities
            ),
            f"{reapi}ActionCache/GetActionResult": unary(pb.GetActionResultRequest, self.get),
            f"{reapi}ActionCache/UpdateActionResult": unary(
                pb.UpdateActionResultRequest, self.update
            ),
            "/google.bytestream.ByteStream/Read": server_streaming(ReadRequest, self.read),
            "/google.bytestream.ByteStream/Write": client_streaming(WriteRequest, self.write),
        }

    async def get_capabilities(
        self, request: pb.GetCapabilitiesRequest, call: Call
    ) -> pb.ServerCapabilities:
        """What it can."""
        await self._begin(call)
        return self.capabilities

    async def get(self, request: pb.GetActionResultRequest, call: Call) -> pb.ActionResult:
        """The result; the instance name and the function come back in its stdout."""
        await self._begin(call)
        said = f"{request.instance_name} {request.digest_function} {request.action_digest.hash[:4]}"
        return pb.ActionResult(stdout_raw=said.encode())

    async def update(self, request: pb.UpdateActionResultRequest, call: Call) -> pb.ActionResult:
        """Keeps the result."""
        await self._begin(call)
        self.result = request.action_result
        return request.action_result

    async def read(self, request: ReadRequest, call: Call) -> AsyncIterator[Buffers]:
        """The pieces, each in a message of its own."""
        await self._begin(call)
        self.taken = 0
        try:
            for piece in self.pieces:
                yield (ReadResponse(data=piece).SerializeToString(),)
                self.taken += 1
            if self.held_at_the_end:
                await Deferred()
        except GeneratorExit:
            self.cancelled += 1
            raise
        if self.failures:
            raise self.failures.pop(0)

    async def write(self, requests: AsyncIterator[WriteRequest], call: Call) -> WriteResponse:
        """Takes what comes."""
        await self._begin(call)
        self.taken, self.written = 0, b""
        async for request in requests:
            self.taken += 1
            self.written += request.data
            if self.taken == self.answer_after:
                break
        return WriteResponse(committed_size=len(self.written))

    def release(self) -> None:
        """Let those go on that wait."""
        self.held = False
        for waiting in self._waiting:
            waiting.callback(None)

    async def _begin(self, call: Call) -> None:
        self.calls.append((call.path, call.metadata("static"), call.metadata("own")))
        self.ways.append(call.metadata(VIA))
        if self.held:
            self._waiting.append(Deferred())
            try:
                await self._waiting[-1]
            except BaseException:
                self.cancelled += 1
                raise
        if self.failures and not self.pieces:
            raise self.failures.pop(0)


class PeerTestCase(TestCase):
    """Has a server on a socket and a link to it."""

    timeout = 20  # seconds; a hang is a failure of one test

    def setUp(self) -> None:
        if not isinstance(reactor, AsyncioSelectorReactor):
            raise SkipTest("needs trial --reactor=asyncio, as grpcio's client does")
        asyncio.set_event_loop(reactor._asyncioEventloop)
        self.breaker: Breaker
        # Not trial's own folder for it: the path of a socket may have 107 bytes.
        folder = tempfile.TemporaryDirectory(prefix="peer")
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "socket")
        self.serve(self.services())

    def services(self) -> Iterable[IRPCService]:
        """What is served."""
        self.service = ScriptedService()
        return [self.service]

    def serve(self, services: Iterable[IRPCService]) -> None:
        """Listen."""
        clock: Any = reactor
        self.factory = GRPCFactory(services, clock=clock, max_message_bytes=16 << 20)
        self.port = clock.listenUNIX(self.path, self.factory)
        self.addCleanup(self.gone)

    async def gone(self) -> None:
        """Stop listening, and wait until all clients are gone."""
        await maybeDeferred(self.port.stopListening)
        while self.factory.connections:
            # A failure that a test looked at holds its call, and that the connection, until it
            # is garbage.
            gc.collect()
            await self.turns(0.005)

    def link(
        self,
        *,
        retries: int = 2,
        seconds: float = 10,
        count: int = 1,
        headers: Metadata = (),
        most_in_flight: int = MOST_IN_FLIGHT,
        most_bulk: int = 1,
    ) -> Link:
        """A link to the server, closed at the end of the test."""
        clock: Any = reactor
        self.bulk = BulkConnections(Target("unix", self.path), clock, seconds, most_bulk)
        self.addCleanup(self.bulk.close)
        self.breaker = Breaker("the peer", clock=clock)
        self.connections = Connections(
            Target("unix", self.path), count, most_in_flight=most_in_flight
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(self.connections.close()))
        return Link(
            self.connections,
            headers=headers,
            station=Station("front", "1"),
            breaker=self.breaker,
            retrying=Retrying(retries, clock=clock, random=Random(1)),
            timeout_seconds=seconds,
            clock=clock,
            bulk=self.bulk,
        )

    async def failed(self, doing: Awaitable[Any], kind: type[E]) -> E:
        """The failure that it ends with."""
        with self.assertRaises(kind) as caught:
            await doing
        error: E = caught.exception
        return error

    async def turns(self, seconds: float = 0.05) -> None:
        """Let both sides have some turns of the reactor."""
        await deferred(asyncio.sleep(seconds))
