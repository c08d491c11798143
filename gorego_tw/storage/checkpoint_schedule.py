"""When checkpoints are taken."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from txaio.tx import make_logger

from gorego_tw.concurrency import Periodic
from gorego_tw.errors import StatusError
from gorego_tw.storage.checkpoints import Checkpoints
from gorego_tw.storage.disk_threads import DiskThreads

#: How often is looked whether one is due, in seconds.
LOOK_SECONDS = 0.5

#: How long after one that failed the next is tried, in seconds.
RETRY_SECONDS = 10.0

#: A process that has lived for so long is well, in seconds.
WELL_SECONDS = 60.0


class CheckpointSchedule(Periodic):
    """Takes one every so many seconds; earlier if much waits for it, and soon after the start.

    :param seconds: how much time is lost by a power cut at most, as long as the disk can follow.
    """

    _log = make_logger()

    def __init__(
        self, checkpoints: Checkpoints, seconds: float, threads: DiskThreads, clock: IReactorTime
    ) -> None:
        super().__init__("checkpoint", self._take_if_due, LOOK_SECONDS, clock)
        self._checkpoints = checkpoints
        self._every = seconds
        self._threads = threads
        self._clock = clock
        self._started_at = self._tried_at = clock.seconds()
        self._pause = 0.0

    def startService(self) -> None:
        """Begin to look, and to listen to who wants one."""
        super().startService()
        self._checkpoints.wanted = self.wake

    async def _take_if_due(self) -> None:
        now = self._clock.seconds()
        since = now - self._tried_at
        # A clock that was set back says nothing of how long ago the last one was.
        soon = self._checkpoints.due and since >= self._pause
        if soon or not 0 <= since < self._every:
            self._tried_at, self._pause = now, RETRY_SECONDS
            try:
                await self._checkpoints.take(self._threads)
            except StatusError as error:
                self.failures += 1
                self._log.warn("no checkpoint for now: {error}", error=error.message)
            else:
                self._pause = 0.0
        if now - self._started_at >= WELL_SECONDS:
            self._checkpoints.lived()
