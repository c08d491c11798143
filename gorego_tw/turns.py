"""Work that takes long, in pieces: calls that come meanwhile have their turns of the reactor in between."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime

from gorego_tw.waiting_line import WaitingLine

#: How much is done in a turn, in digests that are read: some 2 ms.
PIECE = 2048

#: How much one call does until it lets those go on who wait, in digests that are read. What takes less never waits.
SHARE = 256


class Turns:
    """Those of all who do long work for the same reactor. In each turn a piece is done, whoever does it: those who
    have to wait go on in the order in which they came.

    :param clock: without one everything is done in one turn.
    :ivar alone: held by who needs so much memory for it that not all may who are at work.
    """

    def __init__(self, clock: IReactorTime | None = None) -> None:
        self.alone = DeferredLock()
        self._clock = clock
        self._done = 0
        self._line = None if clock is None else WaitingLine(clock, lambda: self._done < PIECE)
        self._is_due = False

    def of_one_call(self) -> Share:
        """What one call takes part in them with."""
        return Share(self)

    async def after(self, count: int) -> None:
        """Go on when those have who wait, and in a later turn if enough was done in this one.

        :param count: how much was done since the last call, in digests that are read.
        """
        self._done += count
        if self._line is None or (self._done < PIECE and not self._line):
            return
        turn = self._line.join()
        self._make_due()
        await turn

    def _make_due(self) -> None:
        if not self._is_due and self._clock is not None:
            self._is_due = True
            self._clock.callLater(0, self._begin)

    def _begin(self) -> None:
        self._is_due = False
        self._done = 0
        if self._line is not None:
            self._line.call()
            if self._line:
                self._make_due()


class Share:
    """The turns of one call. All that it does at the same time has one place among those who wait."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._done = 0
        self._line: deque[Deferred[None]] = deque()
        self._is_waiting = False

    async def after(self, count: int) -> None:
        """Let other calls go on if enough was done.

        :param count: how much was done since the last call, or is done next, in digests that are read.
        """
        self._done += count
        if self._done < SHARE:
            return
        turn: Deferred[None] = Deferred(self._line.remove)
        self._line.append(turn)
        if not self._is_waiting:
            self._is_waiting = True
            Deferred.fromCoroutine(self._wait())
        await turn

    async def _wait(self) -> None:
        """Wait for all of them, until none is left."""
        while self._line:
            done = self._done
            await self._turns.after(done)
            self._done -= done  # others may have done more meanwhile
            while self._line and self._done < SHARE:
                self._line.popleft().callback(None)
        self._is_waiting = False


#: Where nobody else waits.
ONE_TURN = Turns()
