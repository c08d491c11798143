"""How late the reactor is: what everything in it waits for when something takes its time."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gorego_tw.telemetry.distribution import LATENCY_SECONDS, Distribution

#: How often it is tried, in seconds.
EVERY_SECONDS = 0.1


class ReactorLag(Service):
    """Sets a timer, and looks how late it comes.

    :param clock: the reactor.
    :ivar lateness: of all timers so far, in seconds.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.lateness = Distribution(LATENCY_SECONDS)
        self._clock = clock
        self._due = 0.0
        self._last = 0.0
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin."""
        super().startService()
        self._set()

    def stopService(self) -> None:
        """Set no more timers."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def seconds(self) -> float:
        """How late the last timer was, or the next one is by now, in seconds."""
        overdue = self._clock.seconds() - self._due if self._timer is not None else 0.0
        return max(self._last, overdue)

    @property
    def age_seconds(self) -> float:
        """How long ago the last timer came, in seconds."""
        return self._clock.seconds() - self._due + EVERY_SECONDS

    def _set(self) -> None:
        self._due = self._clock.seconds() + EVERY_SECONDS
        self._timer = self._clock.callLater(EVERY_SECONDS, self._come)

    def _come(self) -> None:
        self._last = max(0.0, self._clock.seconds() - self._due)
        self.lateness.observe(self._last)
        self._set()
