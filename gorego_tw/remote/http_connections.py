"""Connections to a plain HTTP server, of which none outlives its use for long."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import HTTPConnectionPool
from zope.interface import implementer

#: How long a connection that is to be closed has to send what it took, in seconds. A server that has
#: answered early and reads no more would keep it for ever.
CLOSING_SECONDS = 5.0


class HTTPConnections(HTTPConnectionPool):
    """Keeps those that can be used again.

    :param most_idle: so many.
    """

    def __init__(self, reactor: Any, most_idle: int) -> None:
        super().__init__(reactor)
        self.maxPersistentPerHost = most_idle
        self._clock: IReactorTime = reactor

    def getConnection(self, key: Hashable, endpoint: IStreamClientEndpoint) -> Any:
        """One for a request, made by the endpoint if none is kept."""
        return super().getConnection(key, _Endpoint(endpoint, self._clock))


@implementer(IStreamClientEndpoint)
class _Endpoint:
    def __init__(self, endpoint: IStreamClientEndpoint, clock: IReactorTime) -> None:
        self._endpoint = endpoint
        self._clock = clock

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """The protocol that the factory makes; its transport is the wrapper."""
        wrapping = WrappingFactory(factory)
        wrapping.noisy = False
        wrapping.protocol = partial(ClosingInTime, self._clock)
        connecting: Deferred[Any] = self._endpoint.connect(wrapping)
        return connecting.addCallback(lambda wrapper: wrapper.wrappedProtocol)


class ClosingInTime(ProtocolWrapper):
    """Aborts a connection that does not close by itself in time.

    :cvar seconds: how long that is.
    """

    seconds = CLOSING_SECONDS

    def __init__(self, clock: IReactorTime, factory: Any, wrapped: IProtocol) -> None:
        super().__init__(factory, wrapped)
        self._clock = clock
        self._timer: IDelayedCall | None = None

    def loseConnection(self) -> None:
        """Close it when what was written is sent, or when that takes too long."""
        if self._timer is None:
            self._timer = self._clock.callLater(self.seconds, self.abortConnection)
        super().loseConnection()

    def stopProducing(self) -> None:
        """As a transport does: nobody reads, so it is closed."""
        self.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is closed."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        super().connectionLost(reason)
