"""Gives back to the file system what the index's file has no use for.

LMDB never makes its file smaller. Where many small blobs and action results were evicted and large blobs came,
which are files of their own, most of its pages are free, and would take room for good. So holes are made of
free pages when there are more than are used again soon.

What makes it safe: it is done inside of a write transaction, in which nothing is changed, and only to pages
that LMDB might write over in this very transaction: those that were freed before the oldest moment that any reader
looks at, which is that of the last checkpoint or an earlier one. No tree that anybody looks at, or that
a power cut leads back to, has them, and LMDB does not read what is in a page that it takes from its lists. So a
hole is nothing but one more thing that may be in there. The file stays as long as it is, which LMDB relies on.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

import lmdb
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from txaio.tx import make_logger

from gorego_tw.concurrency import Periodic
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.environment import Environment
from gorego_tw.storage.holes import punch
from gorego_tw.storage.lmdb_pages import DamagedPage

#: How often is looked whether there is something to do, in seconds.
LOOK_SECONDS = 10.0

#: How much is kept of free pages, in times of what is freed between two checkpoints: one part waits
#: while the other is used.
KEPT_PARTS = 2

#: How long it works at a time, in seconds, for which writes have to wait, and what it leaves to them: so much,
#: and so many times of what it took, where the disk makes a single hole take long.
SLICE_SECONDS = 0.001
REST_SECONDS = 0.002
REST_PARTS = 20


#: What a file system says that makes no holes.
_NO_HOLES = frozenset({errno.EOPNOTSUPP, errno.ENOSYS})


class _Position(NamedTuple):
    """Where it is in the lists: at those of commits before that one, after so many pages of the first."""

    before: int
    skip: int = 0


_BEGINNING = _Position(1 << 64)


class Trimming(Periodic):
    """Makes holes, from the pages that were freed last to those that were freed first, which LMDB uses first.

    :ivar given_back_bytes: how many bytes became holes; what was one already counts again.
    """

    _log = make_logger()

    def __init__(self, environment: Environment, threads: DiskThreads, clock: IReactorTime) -> None:
        super().__init__("trimming of the index", self._trim, LOOK_SECONDS, clock)
        self.given_back_bytes = 0
        self._environment = environment
        self._free_pages = environment.free_pages
        self._threads = threads
        self._clock = clock
        self._has_holes = True
        self._late_seconds = 0.0
        self._resting: Deferred[None] = succeed(None)
        self._passed = -1

    @property
    def excess_bytes(self) -> int:
        """How much is to be given back, in bytes; 0 or less if nothing is.

        :raises StatusError: the index cannot be read.
        """
        environment = self._environment
        kept = environment.used_bytes + KEPT_PARTS * environment.growth_bytes
        return environment.file_bytes - kept

    def stopService(self) -> Deferred[object]:
        """Make no more holes.

        :returns: fires when the one that is being made is made.
        """
        ended = super().stopService()
        self._resting.cancel()
        return ended

    async def _rest(self) -> None:
        seconds = max(REST_SECONDS, REST_PARTS * self._late_seconds)
        self._resting = deferLater(self._clock, seconds)
        with suppress(CancelledError):  # at the end
            await self._resting

    async def _trim(self) -> None:
        checkpoints = self._environment.checkpoints
        if not self._has_holes or self._passed == checkpoints:
            return
        position: _Position | None = _BEGINNING
        while self.running and position and self.excess_bytes > 0:
            position = await self._threads.run(self._slice, position)
            await self._rest()
        if position is None:  # before the next checkpoint there are no others
            self._passed = checkpoints

    def _slice(self, position: _Position) -> _Position | None:  # in a thread
        """Make some holes.

        :returns: where it goes on; None if no more pages may be taken for now.
        """
        end = monotonic() + SLICE_SECONDS
        try:
            # The lock on the index that every write takes.
            txn = self._environment.begin(write=True)
        except lmdb.Error as error:
            raise self._environment.trouble(error) from error
        try:
            return self._punch_until(end, position)
        except (OSError, DamagedPage) as error:
            if isinstance(error, OSError) and error.errno not in _NO_HOLES:
                raise  # a full disk may have no room for a note of the hole: later there is
            self._has_holes = False
            self._log.warn("the index's file stays as large as it is: {error}", error=error)
            return None
        finally:
            txn.abort()
            self._late_seconds = monotonic() - end

    def _punch_until(self, end: float, position: _Position) -> _Position | None:
        oldest = min(self._environment.readers, default=0)
        fd = os.open(self._environment.file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            while monotonic() < end:
                found = self._free_pages.latest(min(position.before, oldest), position.skip)
                if found is None:
                    return None
                if not found.pages:
                    position = _Position(found.transaction)
                    continue
                done = self._punch(fd, found.pages, end)
                position = _Position(found.transaction + 1, position.skip + done)
        finally:
            os.close(fd)
        return position

    def _punch(self, fd: int, pages: tuple[int, ...], end: float) -> int:
        """Make holes of those pages; how many of them it came to."""
        size, done = self._environment.page_bytes, 0
        for first, count in runs(pages):
            punch(fd, first * size, count * size)
            self.given_back_bytes += count * size
            done += count
            if monotonic() >= end:
                break
        return done


def runs(pages: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Pages that stand in a row, in descending order as LMDB lists them: the lowest, and how many."""
    first, count = pages[0], 1
    for page in pages[1:]:
        if page != first - 1:
            yield first, count
            count = 0
        first = page
        count += 1
    yield first, count
