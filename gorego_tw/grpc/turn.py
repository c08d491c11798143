"""The end of a turn of the reactor, when connections send what they answer."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime


class Connection(Protocol):
    """One that may have something to send."""

    def flush(self) -> None:
        """Send it."""


class Turn:
    """Lets connections send when all that were to be read have been read.

    A client that waits is woken by what it is sent, which costs us more than the sending does; clients
    on one machine that are sent their answers one right after the other are woken together. A
    connection that has the reactor for itself sends at once.

    :param clock: ends the turn.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._last: Connection | None = None
        self._waiting: list[Connection] = []

    def handled(self, connection: Connection) -> None:
        """A connection has handled what it had read."""
        is_alone = self._last is None or self._last is connection
        self._last = connection
        if is_alone and not self._waiting:
            connection.flush()
            return
        if not self._waiting:
            self._clock.callLater(0, self._end)
        self._waiting.append(connection)

    def left(self, connection: Connection) -> None:
        """A connection is closed."""
        if self._last is connection:
            self._last = None
        if connection in self._waiting:
            self._waiting.remove(connection)

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.flush()
