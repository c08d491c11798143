"""How long a peer may be waited for."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime


class Patience:
    """Notices that a message is late. One timer for all messages of a call, which would cost more than
    they do if each had its own.

    :param seconds: how long a message may take.
    :param late: called when one takes longer; nothing is looked at after that.
    """

    def __init__(self, seconds: float, clock: IReactorTime, late: Callable[[], object]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._late = late
        self._asked_at: float | None = None
        self._timer = clock.callLater(seconds, self._look)

    def asked(self) -> None:
        """A message is waited for from now on."""
        self._asked_at = self._clock.seconds()

    def answered(self) -> None:
        """Nothing is waited for."""
        self._asked_at = None

    def close(self) -> None:
        """Look no more."""
        if self._timer.active():
            self._timer.cancel()

    def _look(self) -> None:
        waited = 0.0 if self._asked_at is None else self._clock.seconds() - self._asked_at
        if waited < self._seconds:
            self._timer = self._clock.callLater(self._seconds - waited, self._look)
        else:
            self._late()
