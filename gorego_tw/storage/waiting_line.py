"""Many who wait for the same thing, called a few at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

#: How many are called in one turn of the reactor. Each may send half a MiB, which takes some 100 µs:
#: everybody else waits for 2 ms at most.
WIDTH = 16


class WaitingLine:
    """Deferreds in the order they came.

    Calling 200 of them at once for every few KiB would keep the reactor from anything else. Those
    who are called late find more, and have to be called less often.

    :param goes_on: asked before each is called; if not, that one and all after it stay in the line.
    """

    def __init__(self, clock: IReactorTime, goes_on: Callable[[], bool] = lambda: True) -> None:
        self._clock = clock
        self._goes_on = goes_on
        self._waiting: deque[Deferred[None]] = deque()
        self._due = 0  # so many of the first are to be called
        self._calling = False

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self) -> Deferred[None]:
        """Fires when it is called. Cancelling leaves the line."""
        waiter: Deferred[None] = Deferred(self._leave)
        self._waiting.append(waiter)
        return waiter

    def call(self) -> None:
        """Call everybody who is waiting now: WIDTH at once, the others in the next turns."""
        self._due = len(self._waiting)
        if not self._calling:
            self._call_some()

    def _call_some(self) -> None:
        self._calling = True
        for _ in range(min(WIDTH, self._due)):
            if not self._goes_on():
                self._due = 0
            if not self._due:  # those who were called may have made others leave
                break
            self._due -= 1
            self._waiting.popleft().callback(None)
        if self._due:
            self._clock.callLater(0, self._call_some)
        else:
            self._calling = False

    def _leave(self, waiter: Deferred[None]) -> None:
        place = self._waiting.index(waiter)
        del self._waiting[place]
        if place < self._due:
            self._due -= 1
