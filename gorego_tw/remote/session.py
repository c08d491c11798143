"""A backing cache from the start of the daemon to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.interfaces import IReactorTime
from txaio.tx import make_logger

from gorego_tw.errors import StatusError

#: How long the start of the daemon waits for the first word of the backing cache, in seconds. One
#: that is down costs a start this much; it is asked again when it is needed.
GREETING_SECONDS = 2.0


class Session(Service):
    """Greets it at the start, so that what it can is known before calls come.

    :param name: of the backing cache, for the log.
    :param greet: asks what it can.
    :param close: lets go of the connections to it.
    """

    _log = make_logger()

    def __init__(
        self,
        name: str,
        greet: Callable[[], Coroutine[Any, Any, None]],
        close: Callable[[], Awaitable[None]],
        clock: IReactorTime,
    ) -> None:
        self._name = name
        self._greet = greet
        self._close = close
        self._clock = clock

    async def startService(self) -> None:
        """Greet it. That it does not answer is no reason not to start."""
        super().startService()
        greeting = defer.Deferred.fromCoroutine(self._greet())
        try:
            await greeting.addTimeout(GREETING_SECONDS, self._clock)
        except defer.TimeoutError:
            self._log.warn(
                "{name} does not answer within {seconds:g} s",
                name=self._name,
                seconds=GREETING_SECONDS,
            )
        except StatusError as error:
            self._log.warn("{name} does not answer: {error}", name=self._name, error=error)
        else:
            self._log.info("{name} answers", name=self._name)

    async def stopService(self) -> None:
        """Break off what is under way there."""
        super().stopService()
        await self._close()
