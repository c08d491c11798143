"""Writes that are let in when eviction has made room for them."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gorego_tw.storage.records import disk_bytes
from gorego_tw.storage.space import Space
from gorego_tw.telemetry.joining import awaited
from gorego_tw.telemetry.span import ROOM
from gorego_tw.waiting_line import WaitingLine

#: How long writes wait while none of them is let in, in seconds, all that come meanwhile together. Then they are
#: refused, and so are others until there is room again.
ROOM_SECONDS = 5.0


class Admission:
    """Has writes wait where there is not enough below the limit for them, as long as somebody evicts.

    They are let in in the order in which they came. While a large one waits small ones pass it only as long as there
    is more left than the headroom.

    :param space: what they need some of.
    """

    def __init__(self, space: Space, clock: IReactorTime) -> None:
        self._space = space
        self._clock = clock
        self._line = WaitingLine(clock, self._goes_on)
        # How much each in the line takes, in their order.
        self._sizes: dict[int, int] = {}
        self._number = 0
        self._giving_up: IDelayedCall | None = None
        self._has_given_up = False

    async def admit(self, size_bytes: int) -> None:
        """Wait until there is room for so much, or until it is no use to wait.

        :param size_bytes: of what is to be written, in bytes.
        """
        size = disk_bytes(size_bytes)
        space = self._space
        aside = space.headroom_bytes if self._sizes else 0
        if self._has_given_up or space.has_room(size + aside):
            return
        if size > space.largest_bytes:
            return
        space.want(size)
        if not space.can_make_room:
            return
        self._number += 1
        number = self._number
        self._sizes[number] = size
        if self._giving_up is None:
            self._watch()
        try:
            await awaited(self._line.join(), ROOM)
        finally:
            del self._sizes[number]
            # It has what it wanted: with what is promised to it then, nothing would go for it twice.
            space.wanted_bytes = self._next_bytes
            self._watch()

    def look(self) -> None:
        """Let in those for whom there is room by now."""
        if self._has_given_up and self._space.has_room(0):
            self._has_given_up = False
        if self._sizes:
            self._space.want(self._next_bytes)
            self._line.call()

    @property
    def _next_bytes(self) -> int:
        return next(iter(self._sizes.values()), 0)

    def _goes_on(self) -> bool:
        space = self._space
        return self._has_given_up or space.has_room(self._next_bytes) or not space.can_make_room

    def _watch(self) -> None:
        """From now on those in the line wait for the next that is let in."""
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._giving_up = (
            self._clock.callLater(ROOM_SECONDS, self._give_up) if self._sizes else None
        )

    def _give_up(self) -> None:
        self._giving_up = None
        self._has_given_up = True
        self._line.call()
