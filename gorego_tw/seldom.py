"""What is done now and then: a line in the log, a note of how far something is."""

from __future__ import annotations

from math import inf

from twisted.internet.interfaces import IReactorTime


class Seldom:
    """Says when it may be done again.

    :param seconds: how much time is in between at least, in seconds; a clock that goes back ends it.
    :param at_once: whether it may be done before any time has passed.
    """

    def __init__(self, seconds: float, clock: IReactorTime, *, at_once: bool) -> None:
        self._seconds = seconds
        self._clock = clock
        self._done_at = -inf if at_once else clock.seconds()

    @property
    def due(self) -> bool:
        """Whether it may be done."""
        return not 0 <= self._clock.seconds() - self._done_at < self._seconds

    def done(self) -> None:
        """It was done now."""
        self._done_at = self._clock.seconds()
