"""When checkpoints are taken."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from txaio.tx import make_logger

from gorego_tw.concurrency import Periodic
from gorego_tw.errors import StatusError
from gorego_tw.storage.checkpoints import Checkpoints
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.telemetry.joining import awaited
from gorego_tw.telemetry.span import ROOM
from gorego_tw.waiting_line import WaitingLine

#: How often is looked whether one is due, in seconds.
LOOK_SECONDS = 0.5

#: How long after one that failed the next is tried, in seconds.
RETRY_SECONDS = 10.0

#: How long writes wait for one, in seconds, all that come before it together: a disk that is slower than that is no
#: reason to keep clients waiting. Then the index grows, and in the end writes are refused.
PACE_SECONDS = 5.0

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
        self._giving_up: IDelayedCall | None = None
        self._is_late = False

    def startService(self) -> None:
        """Begin to look, and to listen to who wants one."""
        super().startService()
        self._checkpoints.wanted = self.wake
        self._checkpoints.relaxed = self._let_go

    def stopService(self) -> Deferred[object]:
        """Take no more, and let nobody wait for one.

        :returns: fires when the one that is being taken, if any, is taken.
        """
        ended = super().stopService()
        self._let_go()
        return ended

    async def keep_pace(self) -> None:
        """Wait until the disk has taken in what was written, if that is more than the index has room for."""
        if self._is_hurried or self._line:
            waiting = awaited(self._line.join(), ROOM)
            if self._giving_up is None:
                self._watch()
            if not self._is_hurried:
                self._line.call()
            await waiting

    @property
    def _is_hurried(self) -> bool:
        return bool(self.running) and self._checkpoints.hurried and not self._is_late

    def _let_go(self) -> None:
        """Let writes go on, as long as there is room for more."""
        self._is_late = False
        self._line.call()
        self._watch()

    def _watch(self) -> None:
        """From now on those in the line wait for the next one."""
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._giving_up = self._clock.callLater(PACE_SECONDS, self._give_up) if self._line else None

    def _give_up(self) -> None:
        """It takes too long: let writes go on, and those that come before it, too."""
        self._giving_up = None
        self._is_late = bool(self._line)
        self._line.call()

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
        finally:
            self._let_go()
        self._pause = 0.0
        return True
