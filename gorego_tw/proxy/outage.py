"""What a client is told of action results while the backing cache is in trouble."""

from __future__ import annotations

from txaio.tx import make_logger

from gorego_tw.errors import NotFound, StatusError, Unavailable
from gorego_tw.proxy.trouble import is_trouble
from gorego_tw.remote.breaker import Breaker, State


class Outage:
    """Tells trouble as a miss, so that builds go on; or as what it is.

    :param as_absence: whether it is told as NOT_FOUND, else as UNAVAILABLE.
    :ivar told: how often it was.
    """

    _log = make_logger()

    def __init__(self, *, as_absence: bool) -> None:
        self.told = 0
        self._as_absence = as_absence

    def watch(self, breaker: Breaker) -> None:
        """Let the log say, when the backing cache answers again, what was done without it."""
        told, refused = self.told, breaker.refused

        def changed(state: State) -> None:
            nonlocal told, refused
            if state is State.CLOSED:
                self._log.warn(
                    "without {name} {told} lookups of action results were answered, "
                    "and {refused} calls were not made",
                    name=breaker.name,
                    told=self.told - told,
                    refused=breaker.refused - refused,
                )
                told, refused = self.told, breaker.refused

        breaker.observers.append(changed)

    def of(self, error: StatusError) -> StatusError:
        """What a client is told of that failure; the failure itself, if it is no trouble."""
        if not is_trouble(error):
            return error
        self.told += 1
        if self._as_absence:
            return NotFound(f"not in the local tier; {error.message}", reason="backing_down")
        return Unavailable(error.message, *error.details)
