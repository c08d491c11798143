"""Places for calls: so many go out at a time, and the others wait for their turn."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twisted.internet.defer import Deferred, fail, succeed

from gorego_tw.errors import Unavailable

#: Calls that wait for a place, each some 2 KB: beyond it they fail, so that nothing piles up.
MOST_WAITING = 10_000


class Places:
    """The places there are, given to who waits longest.

    :param most: how many.
    :ivar taken: how many are.
    """

    def __init__(self, most: int) -> None:
        self.taken = 0
        self._most = most
        self._waiting: deque[Deferred[None]] = deque()
        self._closed = False
        self._is_handing_on = False

    @property
    def waiting(self) -> int:
        """How many calls wait for a place."""
        return len(self._waiting)

    def take(self) -> Deferred[None]:
        """Fires with the place, which has to be released. Cancelling leaves the line.

        :raises Unavailable: too many wait for one already, or there are no more calls.
        """
        try:
            self.check()
        except Unavailable as error:
            return fail(error)
        if self.taken < self._most and not self._waiting:
            self.taken += 1
            return succeed(None)
        if len(self._waiting) >= MOST_WAITING:
            return fail(Unavailable(f"backing cache: {MOST_WAITING} calls wait already"))
        turn: Deferred[None] = Deferred(self._leave)
        self._waiting.append(turn)
        return turn

    def check(self) -> None:
        """Make sure that there are still calls.

        :raises Unavailable: there are no more.
        """
        if self._closed:
            raise _closing()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A place for the length of a block."""
        await self.take()
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Give a place back: it goes on to who waits longest."""
        self.taken -= 1
        if self._is_handing_on:
            return  # in this very stack: who got a place needs it no more, and so may the next, and all
        self._is_handing_on = True
        while self._waiting and self.taken < self._most:
            self.taken += 1
            self._waiting.popleft().callback(None)
        self._is_handing_on = False

    def admit_all(self) -> None:
        """Give a place to all who wait, however many there are: for those who look, before they use it,
        whether it is of any use, when it has become of none.
        """
        waiting, self._waiting = self._waiting, deque()
        self.taken += len(waiting)
        for turn in waiting:
            if turn.called:
                self.taken -= 1  # another one made it leave
            else:
                turn.callback(None)

    def close(self) -> None:
        """No more calls; those that wait fail."""
        self._closed = True
        while self._waiting:
            self._waiting.popleft().errback(_closing())

    def _leave(self, turn: Deferred[None]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)


def _closing() -> Unavailable:
    return Unavailable("backing cache: the connections are closed")
