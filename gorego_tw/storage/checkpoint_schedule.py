"""When checkpoints are taken."""

from __future__ import annotations

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from txaio.tx import make_logger

from gorego_tw.concurrency import Periodic
from gorego_tw.errors import StatusError
from gorego_tw.storage.checkpoints import Checkpoints
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.waiting_line import WaitingLine

#: How often is looked whether one is due, in seconds.
LOOK_SECONDS = 0.5

#: How long after one that failed the next is tried, in seconds.
RETRY_SECONDS = 10.0

#: How long a write waits for one at most, in seconds: a disk that is slower than that is no reason to keep clients
#: waiting. Then the index grows, and in the end writes are refused.
MOST_WAIT_SECONDS = 5.0

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
        # Thousands may wait: each blob of each batch. They go on in the order in which they came.
        self._line = WaitingLine(clock, lambda: not self._is_hurried)
        # Those whose time was up in the same moment go on a few in each turn, too.
        self._late = WaitingLine(clock)

    def startService(self) -> None:
        """Begin to look, and to listen to who wants one."""
        super().startService()
        self._checkpoints.wanted = self.wake
        self._checkpoints.relaxed = self._line.call

    def stopService(self) -> Deferred[object]:
        """Take no more, and let nobody wait for one."""
        ended = super().stopService()
        self._line.call()
        return ended

    async def keep_pace(self) -> None:
        """Wait until the disk has taken in what was written, if that is more than the index has room for."""
        if self._is_hurried or self._line:
            waiting = self._line.join()
            if not self._is_hurried:
                self._line.call()
            try:
                await waiting.addTimeout(MOST_WAIT_SECONDS, self._clock)
            except defer.TimeoutError:
                late = self._late.join()
                self._clock.callLater(0, self._late.call)
                await late

    @property
    def _is_hurried(self) -> bool:
        return bool(self.running) and self._checkpoints.hurried

    async def _take_if_due(self) -> None:
        now = self._clock.seconds()
        since = now - self._tried_at
        # A clock that was set back says nothing of how long ago the last one was.
        soon = self._checkpoints.due and since >= self._pause
        is_time = soon or not 0 <= since < self._every
        while is_time:
            # While one was taken enough may have been written for another.
            is_time = await self._take() and bool(self.running) and self._checkpoints.due_again
        if now - self._started_at >= WELL_SECONDS:
            self._checkpoints.lived()

    async def _take(self) -> bool:
        """Take one; whether that went well."""
        self._tried_at, self._pause = self._clock.seconds(), RETRY_SECONDS
        try:
            await self._checkpoints.take(self._threads)
        except StatusError as error:
            self.failures += 1
            self._log.warn("no checkpoint for now: {error}", error=error.message)
            return False
        self._pause = 0.0
        return True
