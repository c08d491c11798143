"""An open port as a service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)

from gorego_tw.lifecycle import StartError


async def _nothing() -> None:
    """No connections to wait for."""


class Port(Service):
    """Listens while it runs.

    :param endpoint: where.
    :param factory: makes the protocols.
    :param place: the place, key and value of the address, for messages.
    :param drain: waits for the calls on the connections there are, after the port has closed.
    """

    def __init__(
        self,
        endpoint: IStreamServerEndpoint,
        factory: IProtocolFactory,
        place: str,
        drain: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._endpoint = endpoint
        self._factory = factory
        self._place = place
        self._drain = drain
        self._port: IListeningPort | None = None

    @property
    def address(self) -> IAddress | None:
        """Where it listens, None while it does not."""
        return None if self._port is None else self._port.getHost()

    async def startService(self) -> None:
        """Open the port.

        :raises StartError: it is taken or not ours to open.
        """
        super().startService()
        try:
            self._port = await self._endpoint.listen(self._factory)
        except (CannotListenError, OSError) as error:
            raise StartError(
                f"{self._place}: cannot listen there: {_reason(error)}; "
                "allowed: an address of this machine that is free and that we may use"
            ) from error

    async def stopService(self) -> None:
        """Close the port, then wait for the connections."""
        super().stopService()
        if self._port is not None:
            port, self._port = self._port, None
            await maybeDeferred(port.stopListening)
            await self._drain()


def _reason(error: CannotListenError | OSError) -> str:
    cause = error.socketError if isinstance(error, CannotListenError) else error
    return getattr(cause, "strerror", None) or str(cause)
