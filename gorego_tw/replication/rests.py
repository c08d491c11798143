"""Rests after failures: of what failed, and of the peer."""

from __future__ import annotations

from heapq import heappop, heappush
from random import Random

from twisted.internet.interfaces import IReactorTime

#: How long a rest is after one failure, in seconds; it doubles with each further one in a row.
FIRST_SECONDS = 1.0
MOST_SECONDS = 60.0
_MOST_DOUBLINGS = 10

#: What is refused by itself rests for longer in the end, in seconds: nobody waits for it to succeed.
MOST_REFUSED_SECONDS = 600.0


class Rests:
    """Who rests, and until when.

    What has failed rests the longer the more often it has. Meanwhile the peer rests too, so that
    it is not asked for everything else while it is down; but that is short as long as others
    succeed, so that what alone fails again and again holds nothing up.

    :param random: makes each rest up to a half shorter, so that many peers do not ask at once.
    """

    def __init__(self, clock: IReactorTime, random: Random) -> None:
        self._clock = clock
        self._random = random
        # As many as what is put off: the queue's entries.
        self._resting: list[tuple[float, bytes]] = []
        self._failures = 0
        self._until = 0.0

    @property
    def over(self) -> bool:
        """Whether the peer may be asked."""
        return self._clock.seconds() >= self._until

    def put_off(self, key: bytes, failures: int) -> bool:
        """It has failed, so many times now.

        :returns: whether that is the first failure after a success.
        """
        heappush(self._resting, (self._clock.seconds() + self._seconds(failures), key))
        # What was under way together fails together: that is one failure.
        if not self.over:
            return False
        self._failures += 1
        self._until = self._clock.seconds() + self._seconds(self._failures)
        return self._failures == 1

    def refused(self, key: bytes, failures: int) -> None:
        """It was refused, which is an answer: the peer goes on."""
        seconds = self._seconds(failures, MOST_REFUSED_SECONDS)
        heappush(self._resting, (self._clock.seconds() + seconds, key))

    def succeeded(self) -> None:
        """Something went well: the next failure is the first again."""
        self._failures = 0

    def rested(self) -> list[bytes]:
        """The keys of those whose rest is over, which are forgotten, the longest over first."""
        keys = []
        while self._resting and self._resting[0][0] <= self._clock.seconds():
            keys.append(heappop(self._resting)[1])
        return keys

    def end(self) -> list[bytes]:
        """End all rests.

        :returns: the keys of those who rested, the one that had the shortest to go first.
        """
        keys = [key for _, key in sorted(self._resting)]
        self._resting.clear()
        self._until = 0.0
        return keys

    def _seconds(self, failures: int, most: float = MOST_SECONDS) -> float:
        doubled = FIRST_SECONDS * (1 << min(failures - 1, _MOST_DOUBLINGS))
        return min(doubled, most) * self._random.uniform(0.5, 1.0)
