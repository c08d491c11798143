"""The socket in the folder on which the daemon hears the command.

A socket of its own, and not the port of the build clients: whoever may write the folder may do
with it what he likes, and nobody else; and the command finds it without knowing the
configuration that the daemon was started with, its addresses or its certificates.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorUNIX
from twisted.internet.task import deferLater
from txaio.tx import make_logger

from gorego_tw.control.service import Control
from gorego_tw.grpc.factory import GRPCFactory
from gorego_tw.storage.tier import LocalTier

NAME = "control"

#: For the owner alone.
_MODE = 0o600

#: Enough for an action result, which is never larger than what clients may send.
_MOST_MESSAGE_BYTES = 64 << 20

#: The longest path of a socket, in bytes (unix(7), sun_path).
_MOST_PATH_BYTES = 107


def socket_path(folder: Path) -> str:
    """A path of the socket that is short enough.

    A long one is shortened by a descriptor of the folder, which stays open as long as the process.
    """
    path = str(folder / NAME)
    if len(os.fsencode(path)) <= _MOST_PATH_BYTES:
        return path
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{descriptor}/{NAME}"


class ControlPort(Service):
    """Listens on the socket while it runs. A daemon whose folder can have no socket lives without.

    :param folder: held by this process, so that a socket which is there is left over from a crash.
    :param drain: ends the calls on the connections there are, after the port has closed.
    """

    _log = make_logger()

    def __init__(
        self,
        folder: Path,
        factory: IProtocolFactory,
        drain: Callable[[], Awaitable[None]],
        reactor: IReactorUNIX,
    ) -> None:
        self._folder = folder
        self._factory = factory
        self._drain = drain
        self._reactor = reactor
        self._port: IListeningPort | None = None

    async def startService(self) -> None:
        """Open the socket."""
        super().startService()
        try:
            path = socket_path(self._folder)
            with suppress(FileNotFoundError):
                (self._folder / NAME).unlink()
            endpoint = UNIXServerEndpoint(self._reactor, path, mode=_MODE, wantPID=False)
            self._port = await endpoint.listen(self._factory)
        except (CannotListenError, OSError) as error:
            self._log.warn(
                "{folder}: no socket for gorego cache can be made there: {error}",
                folder=str(self._folder),
                error=error,
            )

    async def stopService(self) -> None:
        """Close the socket."""
        super().stopService()
        if self._port is not None:
            port, self._port = self._port, None
            # Somebody may have removed the socket, or moved the folder.
            with suppress(FileNotFoundError):
                await maybeDeferred(port.stopListening)
            await self._drain()


def control_port(tier: LocalTier, reactor: Any) -> ControlPort:
    """The socket of a tier that is open.

    Whoever waits for the command can ask again: a daemon that stops does not wait for it.
    """
    random = Random()  # noqa: S311 - samples for statistics are no secret
    control = Control(tier, random, lambda seconds: deferLater(reactor, seconds), os.getpid())
    factory = GRPCFactory([control], clock=reactor, max_message_bytes=_MOST_MESSAGE_BYTES)
    return ControlPort(tier.folder.path, factory, lambda: factory.drain(0), reactor)
