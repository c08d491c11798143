"""Many who wait for the same thing, called a few at a time."""

from __future__ import annotations

from collections import OrderedDict
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
        # In their order, each with its number: of thousands, thousands may leave in the same moment.
        self._waiting: OrderedDict[Deferred[None], int] = OrderedDict()
        self._joined = 0
        self._due = 0  # those with smaller numbers are to be called
        self._calling = False

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self) -> Deferred[None]:
        """Fires when it is called. Cancelling leaves the line."""
        waiter: Deferred[None] = Deferred(self._leave)
        self._waiting[waiter] = self._joined
        self._joined += 1
        return waiter

    def call(self) -> None:
        """Call everybody who is waiting now: WIDTH at once, the others in the next turns."""
        self._due = self._joined
        if not self._calling:
            self._call_some()

    def _call_some(self) -> None:
        self._calling = True
        for _ in range(WIDTH):
            if not self._goes_on():
                self._due = 0
            if not self._has_due:  # those who were called may have made others leave
                break
            waiter, _number = self._waiting.popitem(last=False)
            waiter.callback(None)
        if self._has_due:
            self._clock.callLater(0, self._call_some)
        else:
            self._calling = False

    @property
    def _has_due(self) -> bool:
        return bool(self._waiting) and next(iter(self._waiting.values())) < self._due

    def _leave(self, waiter: Deferred[None]) -> None:
        del self._waiting[waiter]
