"""A gRPC client in memory: the h2 library's state machine joined to our protocol, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from gorego_tw.errors import NotFound
from gorego_tw.grpc.factory import GRPCFactory
from gorego_tw.grpc.framing import MessageBuffer, prefix
from gorego_tw.grpc.router import (
    Call,
    IRPCService,
    Method,
    Reply,
    bidirectional,
    client_streaming,
    server_streaming,
    unary,
)
from gorego_tw.grpc.socket_writer import BufferedWriter
from gorego_tw.http2.frames import FrameType
from gorego_tw.http2.limits import Limits
from gorego_tw.pb.grpc.health.v1.health_pb2 import HealthCheckRequest

Text = HealthCheckRequest  # any message with one string does


def text(value: str) -> bytes:
    """A serialized message."""
    return Text(service=value).SerializeToString()


@dataclass
class Answer:
    """What came back on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    messages: list[bytes] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    reset: int | None = None
    ended: bool = False
    body: bytes = b""

    @property
    def status(self) -> tuple[str | None, str | None]:
        """grpc-status and grpc-message."""
        fields = self.trailers or self.headers
        return fields.get("grpc-status"), fields.get("grpc-message")


class Peer:
    """A client on its own connection to ``factory``.

    :param settings: HTTP/2 settings to announce.
    """

    def __init__(self, factory: GRPCFactory, settings: Mapping[int, int] | None = None) -> None:
        self.protocol = factory.buildProtocol(None)
        self._clock = factory._clock
        self.transport = StringTransport()
        self.answers: dict[int, Answer] = {}
        self.events: list[h2.events.Event] = []
        self.acknowledging = True
        self._buffers: dict[int, MessageBuffer] = {}
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.goaways: list[bytes] = []
        self.protocol.makeConnection(self.transport)
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(dict(settings))
        self.exchange()

    @property
    def producer(self) -> BufferedWriter:
        """What the transport tells when it is full."""
        producer = self.transport.producer
        assert isinstance(producer, BufferedWriter)
        return producer

    def exchange(self) -> None:
        """Carry bytes both ways until nobody has anything to say."""
        while True:
            to_server = self.h2.data_to_send()
            if to_server:
                self.protocol.dataReceived(to_server)
                self._end_turn()
            to_client = self.transport.value()
            self.transport.clear()
            if to_client:
                self._received(self.h2.receive_data(self._without_goaways(to_client)))
            if not to_server and not to_client:
                return

    def _end_turn(self) -> None:
        assert isinstance(self._clock, Clock)
        self._clock.advance(0)

    def start(self, path: str, *headers: tuple[str, str], method: str = "POST") -> int:
        """Send request headers; the number of the stream."""
        stream_id = self.h2.get_next_available_stream_id()
        fields = [
            (":method", method),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
        ]
        if method == "POST":
            fields += [("te", "trailers"), ("content-type", "application/grpc")]
        self.h2.send_headers(stream_id, [*fields, *headers], end_stream=method != "POST")
        self.answers[stream_id] = Answer()
        self._buffers[stream_id] = MessageBuffer(1 << 24, "identity")
        return stream_id

    def send(self, stream_id: int, *messages: bytes, end: bool = False) -> None:
        """Send messages, each in one DATA frame."""
        for message in messages:
            self.h2.send_data(stream_id, prefix(len(message)) + message)
        if end:
            self.h2.end_stream(stream_id)

    def call(
        self, path: str, *messages: bytes, headers: tuple[tuple[str, str], ...] = ()
    ) -> Answer:
        """A whole request, and what came back at once."""
        stream_id = self.start(path, *headers)
        self.send(stream_id, *messages, end=True)
        self.exchange()
        return self.answers[stream_id]

    def lose(self) -> None:
        """The connection breaks."""
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def _without_goaways(self, data: bytes) -> bytes:
        """The frames of ``data`` but for GOAWAY: the library takes nothing more after one."""
        kept = b""
        while data:
            end = 9 + int.from_bytes(data[:3], "big")
            if data[3] == FrameType.GOAWAY:
                self.goaways.append(data[9:end])
            else:
                kept += data[:end]
            data = data[end:]
        return kept

    def _received(self, events: list[h2.events.Event]) -> None:
        self.events += events
        for event in events:
            if isinstance(event, h2.events.ResponseReceived):
                self.answers[event.stream_id].headers = _texts(event.headers)
            elif isinstance(event, h2.events.TrailersReceived):
                self.answers[event.stream_id].trailers = _texts(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self._data(event)
            elif isinstance(event, h2.events.StreamEnded):
                self.answers[event.stream_id].ended = True
            elif isinstance(event, h2.events.StreamReset):
                self.answers[event.stream_id].reset = int(event.error_code)

    def _data(self, event: h2.events.DataReceived) -> None:
        answer = self.answers[event.stream_id]
        answer.body += event.data
        if answer.headers.get("content-type") == "application/grpc":
            answer.messages += self._buffers[event.stream_id].feed(event.data)
        if self.acknowledging and event.flow_controlled_length:
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)


def _texts(headers: Iterable[tuple[str | bytes, str | bytes]]) -> dict[str, str]:
    return {str(name): str(value) for name, value in headers}


@implementer(IRPCService)
class Texts:
    """A service with a method of each kind, and what a test wants to see of its calls."""

    def __init__(self) -> None:
        self.waits: list[Deferred[None]] = []
        self.cancelled = 0
        self.calls: list[Call] = []
        self.taken: list[str] = []

    def methods(self) -> Mapping[str, Method]:
        """All of them below /t.T/."""
        return {
            "/t.T/Echo": unary(Text, self.echo),
            "/t.T/Wait": unary(Text, self.wait),
            "/t.T/Missing": unary(Text, self.missing),
            "/t.T/Bug": unary(Text, self.bug),
            "/t.T/Big": unary(Text, self.big),
            "/t.T/Count": server_streaming(Text, self.count),
            "/t.T/Stream": server_streaming(Text, self.stream),
            "/t.T/Join": client_streaming(Text, self.join),
            "/t.T/First": client_streaming(Text, self.first),
            "/t.T/Slow": client_streaming(Text, self.slow),
            "/t.T/Chat": bidirectional(Text, self.chat),
        }

    async def echo(self, request: Text, call: Call) -> Reply:
        """The request."""
        self.calls.append(call)
        return request

    async def wait(self, request: Text, call: Call) -> Reply:
        """The request, when the test says so."""
        waiting: Deferred[None] = Deferred()
        self.waits.append(waiting)
        try:
            await waiting
        except BaseException:
            self.cancelled += 1
            raise
        return request

    async def missing(self, request: Text, call: Call) -> Reply:
        """NOT_FOUND, with a detail."""
        raise NotFound("no blob\n50% é", Text(service="detail"))

    async def bug(self, request: Text, call: Call) -> Reply:
        """An exception nobody expected."""
        raise ZeroDivisionError("secret")

    async def big(self, request: Text, call: Call) -> Reply:
        """So many bytes."""
        return bytes(int(request.service))

    async def count(self, request: Text, call: Call) -> AsyncIterator[Reply]:
        """0, 1, 2, ..."""
        for number in range(int(request.service)):
            yield Text(service=str(number))

    async def stream(self, request: Text, call: Call) -> AsyncIterator[Reply]:
        """Messages of 100 kB without end, out of a buffer that is used again and again."""
        buffer = bytearray(100_000)
        try:
            for number in range(int(request.service)):
                buffer[:] = bytes([number % 256]) * len(buffer)
                self.taken.append(str(number))
                yield (b"", memoryview(buffer))
        except BaseException:
            self.cancelled += 1
            raise

    async def join(self, requests: AsyncIterator[Text], call: Call) -> Reply:
        """All requests in one."""
        return Text(service=",".join([request.service async for request in requests]))

    async def first(self, requests: AsyncIterator[Text], call: Call) -> Reply:
        """The first request, as soon as it is here."""
        async for request in requests:
            return request
        raise NotFound("no request")

    async def slow(self, requests: AsyncIterator[Text], call: Call) -> Reply:
        """How many bytes came, taking each message only when the test says so."""
        size = 0
        async for request in requests:
            size += len(request.service)
            self.waits.append(Deferred())
            await self.waits[-1]
        return Text(service=str(size))

    async def chat(self, requests: AsyncIterator[Text], call: Call) -> AsyncIterator[Reply]:
        """Each request, as it comes."""
        async for request in requests:
            yield Text(service=request.service.upper())


def serving(*services: IRPCService, limits: Limits | None = None) -> tuple[GRPCFactory, Clock]:
    """A factory for ``services`` and the clock it lives by."""
    clock = Clock()
    return GRPCFactory(services, clock=clock, limits=limits), clock
