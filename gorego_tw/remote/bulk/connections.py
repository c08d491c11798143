"""Connections for reads of large blobs: as many as there are such reads, up to a bound."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from gorego_tw.concurrency import cancelled_as_such
from gorego_tw.errors import Unavailable
from gorego_tw.remote.bulk.connection import BulkConnection
from gorego_tw.remote.target import Target

#: How many there are at most. Reads beyond it go over gRPC's own connections with all the others.
MOST_CONNECTIONS = 16

#: How long one is kept that nobody uses, in seconds: the time between two builds is longer.
IDLE_SECONDS = 30.0

#: How long one may take to be made at most, in seconds.
CONNECT_SECONDS = 10.0

#: What says that gRPC goes through a proxy (its environment variables).
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")


def bypasses_proxy(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether gRPC connects to the target itself; else we cannot connect beside it."""
    return not any(environment.get(name) for name in _PROXIES)


class BulkConnections:
    """Those that are used, and those that are kept.

    :param seconds: how long the peer may say nothing while something is waited for.
    :param most: how many there are at most.
    """

    def __init__(
        self, target: Target, reactor: Any, seconds: float, most: int = MOST_CONNECTIONS
    ) -> None:
        self.authority = "localhost" if target.scheme == "unix" else target.address
        self._endpoint = _endpoint(target, reactor, min(CONNECT_SECONDS, seconds))
        self._clock = reactor
        self._seconds = seconds
        self._most = most
        self._used = 0
        self._open: set[BulkConnection] = set()
        self._idle: dict[BulkConnection, IDelayedCall] = {}
        self._closed = False

    @property
    def in_flight(self) -> int:
        """How many calls are on their way."""
        return self._used

    @property
    def have_room(self) -> bool:
        """Whether there is a place for one more call."""
        return self._used < self._most and not self._closed

    async def acquire(self) -> BulkConnection:
        """A connection for one call; it has to be released.

        :raises Unavailable: none can be made.
        """
        self._used += 1
        try:
            return self._take_idle() or await self._connect()
        except BaseException:
            self._used -= 1
            raise

    def release(self, connection: BulkConnection) -> None:
        """The call is over, or is to be broken off."""
        self._used -= 1
        connection.end()
        if connection.reusable:
            self._idle[connection] = self._clock.callLater(IDLE_SECONDS, connection.abort)

    def close(self) -> None:
        """Break off what is on its way."""
        self._closed = True
        for connection in list(self._open):
            connection.abort()

    def _take_idle(self) -> BulkConnection | None:
        while self._idle:
            connection, timer = self._idle.popitem()  # the one that was used last
            timer.cancel()
            if connection.reusable:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> BulkConnection:
        connection = BulkConnection(self._clock, self._seconds, self._lost)
        try:
            connecting = self._endpoint.connect(Factory.forProtocol(lambda: connection))
            await cancelled_as_such(connecting)
        except (ConnectError, OSError) as error:  # DNSLookupError is one of the latter
            raise Unavailable(f"backing cache: no connection: {error}") from None
        if self._closed:
            connection.abort()
        self._open.add(connection)
        return connection

    def _lost(self, connection: BulkConnection) -> None:
        self._open.discard(connection)
        timer = self._idle.pop(connection, None)
        if timer is not None and timer.active():
            timer.cancel()


def _endpoint(target: Target, reactor: Any, seconds: float) -> IStreamClientEndpoint:
    if target.scheme == "unix":
        return UNIXClientEndpoint(reactor, target.address, timeout=seconds)
    host, _, port = target.address.rpartition(":")
    return HostnameEndpoint(reactor, host.strip("[]"), int(port), timeout=seconds)
