"""Asks a backing cache that is left alone, now and then, whether it answers again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context
from random import Random

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from txaio.tx import make_logger

from gorego_tw.errors import StatusError
from gorego_tw.remote.breaker import Breaker, State

#: The wait before the first probe and the longest one, in seconds; it doubles in between.
FIRST_SECONDS = 1.0
MOST_SECONDS = 30.0


class Probe(Service):
    """Closes the breaker when the peer answers.

    :param breaker: its peer is asked while it is open.
    :param ask: asks, past the breaker.
    :param random: spreads the probes of many, by up to a quarter.
    :ivar probes: how many there were.
    """

    _log = make_logger()

    def __init__(
        self,
        breaker: Breaker,
        ask: Callable[[], Awaitable[object]],
        *,
        clock: IReactorTime,
        random: Random,
    ) -> None:
        self.probes = 0
        self._breaker = breaker
        self._ask = ask
        self._clock = clock
        self._random = random
        self._probing: Deferred[None] | None = None

    def startService(self) -> None:
        """From now on an open breaker is probed."""
        super().startService()
        self._breaker.observers.append(self._changed)
        self._changed(self._breaker.state)

    async def stopService(self) -> None:
        """No more probes; one that is under way is broken off."""
        super().stopService()
        self._breaker.observers.remove(self._changed)
        probing = self._probing
        if probing is not None:
            probing.cancel()
            await probing

    def _changed(self, state: State) -> None:
        if state is State.OPEN and self._probing is None:
            # Not in the context of the request whose failure was the last one.
            self._probing = Context().run(lambda: Deferred.fromCoroutine(self._probe()))

    async def _probe(self) -> None:
        seconds = FIRST_SECONDS
        try:
            while self._breaker.state is not State.CLOSED:
                await deferLater(self._clock, seconds * self._random.uniform(0.75, 1.25))
                seconds = min(2 * seconds, MOST_SECONDS)
                await self._try()
        except CancelledError:
            pass  # by stopService
        finally:
            self._probing = None

    async def _try(self) -> None:
        if self._breaker.state is State.CLOSED:
            return
        self.probes += 1
        self._breaker.probing()
        try:
            await self._breaker.watch(self._ask)
        except CancelledError:
            raise
        except StatusError:
            pass  # the breaker knows
        except Exception:  # without another probe the breaker would stay open for ever
            self._log.failure("the probe of the backing cache failed")
