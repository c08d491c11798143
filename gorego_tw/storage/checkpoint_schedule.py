"""When checkpoints are taken."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from gorego_tw.concurrency import Periodic
from gorego_tw.storage.checkpoints import Checkpoints
from gorego_tw.storage.disk_threads import DiskThreads

#: How often is looked whether one is due, in seconds.
LOOK_SECONDS = 1.0

#: A process that has lived for so long is well, in seconds.
WELL_SECONDS = 60.0


class CheckpointSchedule(Periodic):
    """Takes one every so many seconds; earlier if there were many commits, and soon after the start.

    :param seconds: how much time is lost by a power cut at most, as long as the disk can follow.
    """

    def __init__(
        self, checkpoints: Checkpoints, seconds: float, threads: DiskThreads, clock: IReactorTime
    ) -> None:
        super().__init__("checkpoint", self._take_if_due, LOOK_SECONDS, clock)
        self._checkpoints = checkpoints
        self._every = seconds
        self._threads = threads
        self._clock = clock
        self._started_at = self._taken_at = clock.seconds()

    async def _take_if_due(self) -> None:
        now = self._clock.seconds()
        # A clock that was set back says nothing of how long ago the last one was.
        if self._checkpoints.due or not 0 <= now - self._taken_at < self._every:
            await self._checkpoints.take(self._threads)
            self._taken_at = now
        if now - self._started_at >= WELL_SECONDS:
            self._checkpoints.lived()
