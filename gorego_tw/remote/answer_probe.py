"""Whether the backing cache answers, found out by asking."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet import defer
from twisted.internet.interfaces import IReactorTime

from gorego_tw.concurrency import Periodic
from gorego_tw.errors import StatusError
from gorego_tw.remote.breaker import is_failure

#: How often it is asked, in seconds, and how long it has to answer.
PROBE_SECONDS = 2.0


class AnswerProbe(Periodic):
    """Asks now and then, also while there are no calls which would find out.

    :param ask: asks.
    :ivar failure: what went wrong the last time; None if nothing did.
    """

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, None]], clock: IReactorTime) -> None:
        super().__init__("probe of the backing cache", self.probe, PROBE_SECONDS, clock)
        self.failure: str | None = "backing cache: it was not asked yet"
        self._ask = ask
        self._clock = clock
        self._tried_at = clock.seconds()

    @property
    def age_seconds(self) -> float:
        """How long ago it was tried, in seconds."""
        return self._clock.seconds() - self._tried_at

    def startService(self) -> None:
        """Begin; it is asked for the first time at once."""
        super().startService()
        self.wake()

    async def probe(self) -> None:
        """Ask."""
        asking = defer.Deferred.fromCoroutine(self._ask())
        try:
            await asking.addTimeout(PROBE_SECONDS, self._clock)
        except defer.TimeoutError:
            self.failure = f"backing cache: no answer within {PROBE_SECONDS:g} s"
        except StatusError as error:
            # A refusal is an answer too.
            self.failure = error.message if is_failure(error) else None
        else:
            self.failure = None
        self._tried_at = self._clock.seconds()
