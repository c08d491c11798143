"""All connections of the gRPC server: making them, watching over them, draining them."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import DeferredList
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from txaio.tx import make_logger

from gorego_tw.grpc.protocol import GRPCProtocol
from gorego_tw.grpc.router import IRPCService, Router
from gorego_tw.grpc.traffic import Traffic
from gorego_tw.grpc.turn import Turn
from gorego_tw.http2.limits import Limits

#: The default of gRPC implementations is 4 MiB; batch uploads of clients that exceed it slightly fail
#: elsewhere, so four times that is taken.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

#: How often connections are looked at, in seconds.
WATCH_SECONDS = 10.0

#: A connection that was silent for so long is asked for a sign of life (PING), in seconds.
KEEPALIVE_SECONDS = 120.0

#: One that stays silent for so long after that is dropped, in seconds.
KEEPALIVE_TIMEOUT_SECONDS = 40.0

#: How long, in seconds, a client has to read that its call was ended by the shutdown.
LAST_WORD_SECONDS = 2.0


class GRPCFactory(Factory):
    """Makes a :class:`GRPCProtocol` for each connection.

    :param services: what is served.
    :param clock: for deadlines and keep-alive.
    :param max_message_bytes: the largest message accepted, in bytes.
    """

    _log = make_logger()
    noisy = False

    def __init__(
        self,
        services: Iterable[IRPCService],
        *,
        clock: IReactorTime,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        limits: Limits | None = None,
    ) -> None:
        self._router = Router(services)
        self._clock = clock
        self._max_message_bytes = max_message_bytes
        self._limits = Limits() if limits is None else limits
        self._turn = Turn(clock)
        self._connections: set[GRPCProtocol] = set()
        self._pinged: dict[GRPCProtocol, float] = {}
        self._watch = LoopingCall(self.look)
        self._watch.clock = clock

    def doStart(self) -> None:
        """The first port opens: begin to watch."""
        super().doStart()
        if not self._watch.running:
            self._watch.start(WATCH_SECONDS, now=False)

    def doStop(self) -> None:
        """The last port has closed."""
        super().doStop()
        if not self.numPorts and self._watch.running:
            self._watch.stop()

    def buildProtocol(self, addr: IAddress | None) -> GRPCProtocol:
        """A protocol for a new connection."""
        protocol = GRPCProtocol(
            self._router,
            self._clock,
            max_message_bytes=self._max_message_bytes,
            closed=self._closed,
            limits=self._limits,
            turn=self._turn,
        )
        protocol.factory = self
        self._connections.add(protocol)
        self._router.traffic.connections += 1
        return protocol

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def open_calls(self) -> int:
        """How many calls are running."""
        return sum(protocol.open_calls for protocol in self._connections)

    @property
    def traffic(self) -> Traffic:
        """What calls and connections have come to."""
        return self._router.traffic

    @property
    def streams_refused(self) -> int:
        """How many streams were more than a connection may have, of connections open and closed."""
        open_ones = sum(protocol.connection.streams_refused for protocol in self._connections)
        return self._router.traffic.streams_refused + open_ones

    def look(self) -> None:
        """Ping connections that are silent, drop those that stay so."""
        now = self._clock.seconds()
        for protocol in list(self._connections):
            self._look_at(protocol, now)

    async def drain(self, grace_seconds: float) -> None:
        """Take no new calls, let the running ones end, then fail those that did not.

        :param grace_seconds: how long they have.
        """
        closing = [protocol.drain() for protocol in list(self._connections)]
        if not closing:
            return
        timers = [
            self._clock.callLater(grace_seconds, self._end_calls),
            self._clock.callLater(grace_seconds + LAST_WORD_SECONDS, self._abort),
        ]
        await DeferredList(closing)
        for timer in timers:
            if timer.active():
                timer.cancel()

    def _end_calls(self) -> None:
        self._log.warn("{left} calls did not end in time; they fail now", left=self.open_calls)
        for protocol in list(self._connections):
            protocol.end_calls()

    def _abort(self) -> None:
        for protocol in list(self._connections):
            protocol.abort()

    def _closed(self, protocol: GRPCProtocol) -> None:
        self._connections.discard(protocol)
        self._pinged.pop(protocol, None)

    def _look_at(self, protocol: GRPCProtocol, now: float) -> None:
        if now - protocol.last_received < KEEPALIVE_SECONDS:
            self._pinged.pop(protocol, None)
        elif protocol not in self._pinged:
            self._pinged[protocol] = now
            protocol.ping()
        elif now - self._pinged[protocol] >= KEEPALIVE_TIMEOUT_SECONDS:
            protocol.abort()
