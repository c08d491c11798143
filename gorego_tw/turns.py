"""Work that takes long, in pieces: calls that come meanwhile have their turns of the reactor in between."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from gorego_tw.waiting_line import WaitingLine

#: How much is done in a turn, in digests that are read: some 2 ms.
PIECE = 2048


class Turns:
    """Those of all who do long work for the same reactor. In each turn a piece is done, whoever does it: those who
    have to wait go on in the order in which they came.

    :param clock: without one everything is done in one turn.
    """

    def __init__(self, clock: IReactorTime | None = None) -> None:
        self._clock = clock
        self._done = 0
        self._line = None if clock is None else WaitingLine(clock, lambda: self._done < PIECE)
        self._is_due = False

    async def after(self, count: int) -> None:
        """Go on in a later turn if enough was done in this one.

        :param count: how much was done since the last call, in digests that are read.
        """
        self._done += count
        if self._done < PIECE or self._line is None:
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


#: Where nobody else waits.
ONE_TURN = Turns()
