"""A backing cache from the start of the daemon to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from txaio.tx import make_logger

from gorego_tw.errors import StatusError

#: How long the start of the daemon waits for the first word of the backing cache, in seconds. One
#: that is down costs a start this much.
GREETING_SECONDS = 2.0

#: How long after a greeting without an answer the next one follows, in seconds: twice as long each time,
#: up to the second.
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


class Session(Service):
    """Greets it at the start, so that what it can is known before calls come; if it does not answer, until
    it does.

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
        self._again: defer.Deferred[None] = defer.succeed(None)

    async def startService(self) -> None:
        """Greet it. That it does not answer is no reason not to start."""
        super().startService()
        if not await self._answers():
            self._again = defer.Deferred.fromCoroutine(self._greet_again())

    async def stopService(self) -> None:
        """Break off what is under way there."""
        super().stopService()
        self._again.cancel()
        await self._again
        await self._close()

    async def _greet_again(self) -> None:
        pause, answers = FIRST_PAUSE_SECONDS, False
        try:
            while not answers:
                await deferLater(self._clock, pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                answers = await self._answers()
        except defer.CancelledError:
            pass  # by stopService

    async def _answers(self) -> bool:
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
            return True
        return False
