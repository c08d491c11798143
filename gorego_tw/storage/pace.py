"""How fast something may go that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

#: What was not done in time is not caught up with beyond this, in seconds.
_MOST_BEHIND_SECONDS = 1.0

#: Shorter waits are put together, in seconds: a turn of the reactor would cost more than it saves.
_LEAST_WAIT_SECONDS = 0.01

#: Longer waits are taken apart, in seconds, for someone may want it to stop.
_MOST_WAIT_SECONDS = 0.5


class Pace:
    """So many bytes in a second, evenly.

    :param bytes_per_second: above 0.
    """

    def __init__(self, bytes_per_second: int, clock: IReactorTime) -> None:
        self._bytes_per_second = bytes_per_second
        self._clock = clock
        self._next_at = clock.seconds()

    async def keep(self, size_bytes: int, goes_on: Callable[[], bool]) -> None:
        """So much was done: wait until more may be.

        :param size_bytes: in bytes.
        :param goes_on: whether there will be more; asked often enough that a stop need not wait.
        """
        now = self._clock.seconds()
        # Further ahead than a wait that is put off it is only when the clock was set back.
        in_time = now - _MOST_BEHIND_SECONDS <= self._next_at <= now + _LEAST_WAIT_SECONDS
        self._next_at = (self._next_at if in_time else now) + size_bytes / self._bytes_per_second
        wait = self._next_at - now
        if wait < _LEAST_WAIT_SECONDS:
            wait = 0
        await deferLater(self._clock, min(wait, _MOST_WAIT_SECONDS))
        while (wait := wait - _MOST_WAIT_SECONDS) > 0 and goes_on():
            await deferLater(self._clock, min(wait, _MOST_WAIT_SECONDS))
