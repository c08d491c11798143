"""Several connections to one gRPC peer, used evenly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from gorego_tw.remote.bridge import deferred
from gorego_tw.remote.places import Places
from gorego_tw.remote.target import Target

#: Calls in flight on one connection. 2,000 at once end in CANCELLED where 1,000 do not, and
#: servers commonly allow 100 to 1,000 streams; what is beyond waits here.
MOST_IN_FLIGHT = 500

#: A BatchReadBlobs reply or an action result is 4 MiB by default and may be larger by agreement.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

#: How much of a stream gRPC takes before it is asked for it, in bytes. Its own estimate grows with
#: what the connection could carry, to 60 MiB for each stream that is read slowly over 20 ms; this
#: lets one stream have 400 MB/s over 20 ms and 80 MB/s over 100 ms, and several have more.
STREAM_WINDOW_BYTES = 8 * 1024 * 1024

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # The estimate is switched off, else the window is only where it begins.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", STREAM_WINDOW_BYTES),
    # Without a pool of its own each of several channels to one address is the same connection.
    ("grpc.use_local_subchannel_pool", 1),
    # A peer that is gone without a word is noticed within a minute, while calls wait for it.
    ("grpc.keepalive_time_ms", 40_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Retries are ours: gRPC's know neither offsets nor the breaker.
    ("grpc.enable_retries", 0),
    # A peer that was down is tried again as soon as the breaker's probe wants it.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.primary_user_agent", "gorego"),
)


class Files(NamedTuple):
    """PEM files: the authorities that may vouch for the peer, and who we are; empty for none."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


def credentials(files: Files) -> grpc.ChannelCredentials:
    """How a peer is trusted, and how it may trust us.

    :raises OSError: a file cannot be read.
    """
    return grpc.ssl_channel_credentials(
        *map(_content, (files.ca_file, files.key_file, files.cert_file))
    )


def _content(file: str) -> bytes | None:
    return Path(file).read_bytes() if file else None


class Connection:
    """One channel.

    :ivar in_flight: how many calls are on their way.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.in_flight = 0
        self._stubs: dict[object, Any] = {}

    def stub(self, kind: str, path: str, serialize: Any, parse: Any) -> Any:
        """What calls the method; made once.

        :param kind: ``unary_unary``, ``unary_stream`` or ``stream_unary``.
        """
        stub = self._stubs.get(path)
        if stub is None:
            make = getattr(self.channel, kind)
            stub = self._stubs[path] = make(
                path, request_serializer=serialize, response_deserializer=parse
            )
        return stub


class Connections:
    """The connections; each opens with its first call.

    :param count: how many.
    :param trust: None for connections without TLS.
    """

    def __init__(
        self,
        target: Target,
        count: int,
        trust: grpc.ChannelCredentials | None = None,
        *,
        most_in_flight: int = MOST_IN_FLIGHT,
    ) -> None:
        self._target = target
        self._count = count
        self._trust = trust
        self._places = Places(count * most_in_flight)
        self._open: list[Connection] = []

    @property
    def in_flight(self) -> int:
        """How many calls are on their way."""
        return sum(connection.in_flight for connection in self._open)

    @property
    def waiting(self) -> int:
        """How many calls wait for a place."""
        return self._places.waiting

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Connection]:
        """A place for one call on the connection that has the fewest.

        :raises Unavailable: too many wait for one already, or they are closed.
        """
        async with self._places.one():
            with self._least_busy() as connection:
                yield connection

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[Connection]:
        """The same without a place, for the call that finds out what holds up those that have one.

        :raises Unavailable: they are closed.
        """
        self._places.check()
        with self._least_busy() as connection:
            yield connection

    def admit_all(self) -> None:
        """As of :class:`gorego_tw.remote.places.Places`."""
        self._places.admit_all()

    async def close(self) -> None:
        """Break off what is on its way."""
        self._places.close()
        for connection in self._open:
            await deferred(connection.channel.close())

    @contextmanager
    def _least_busy(self) -> Iterator[Connection]:
        if not self._open:
            self._open = [self._connection() for _ in range(self._count)]
        connection = min(self._open, key=lambda connection: connection.in_flight)
        connection.in_flight += 1
        try:
            yield connection
        finally:
            connection.in_flight -= 1

    def _connection(self) -> Connection:
        name = self._target.grpc_name
        if self._trust is None:
            return Connection(grpc.aio.insecure_channel(name, options=_OPTIONS))
        return Connection(grpc.aio.secure_channel(name, self._trust, options=_OPTIONS))
