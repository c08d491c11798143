"""Files that the disk cannot read, until it is known whether that was for a moment.

A disk, or a way to it, may be away for a while, and then the file is as good as ever. Until a second look
its readers are told to try again, and nothing is dropped; nor afterwards, as long as the disk does not take
anything either.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

from twisted.internet.interfaces import IReactorTime

from gorego_tw.concurrency import Periodic
from gorego_tw.digest import Digest
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.failures import NOT_OURS, PASSING
from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.inventory import Inventory
from gorego_tw.storage.reading import read_without_trace
from gorego_tw.storage.records import BlobRecord
from gorego_tw.storage.stored_file import ContentHash, DamagedFile

#: How long after the first failure a file is looked at again, and how often it is looked whether that
#: is due, in seconds.
PASSING_SECONDS = 60.0
LOOK_SECONDS = 10.0

#: How many files are remembered; readers of others are told to try again, too.
MOST_NOTED = 10_000


#: Of the file of a blob that the disk cannot read: whether that may be over soon.
MayPass: TypeAlias = Callable[[Digest, BlobRecord, OSError], bool]


class _Noted(NamedTuple):
    record: BlobRecord
    since: float


class Unreadable(Periodic):
    """Looks at such files a second time, and drops those that still cannot be read."""

    def __init__(
        self, inventory: Inventory, files: BlobFiles, threads: DiskThreads, clock: IReactorTime
    ) -> None:
        super().__init__("second look at unreadable files", self._look, LOOK_SECONDS, clock)
        self._inventory = inventory
        self._files = files
        self._threads = threads
        self._clock = clock
        self._noted: dict[Digest, _Noted] = {}

    def may_pass(self, digest: Digest, record: BlobRecord, error: OSError) -> bool:
        """Whether that may be over soon. If so the file is looked at again."""
        if error.errno not in PASSING:
            return False
        known = self._noted.get(digest)
        is_news = known is None or known.record.stamp != record.stamp
        if is_news and len(self._noted) < MOST_NOTED:
            self._noted[digest] = _Noted(record, self._clock.seconds())
        return True

    def is_noted(self, digest: Digest) -> bool:
        """Whether it is not known yet whether the disk can read that blob."""
        return digest in self._noted

    async def _look(self) -> None:
        due = self._clock.seconds() - PASSING_SECONDS
        for digest, (record, since) in list(self._noted.items()):
            if since <= due and not (self.running and await self._look_again(digest, record)):
                return

    async def _look_again(self, digest: Digest, record: BlobRecord) -> bool:
        """Find out about one; whether anything can be found out now."""
        path = self._files.path(digest.key)
        damage = ""
        try:
            await self._threads.run(_compare, path, digest)
        except OSError as error:
            if error.errno in NOT_OURS or (error.errno in PASSING and await self._is_away()):
                return False
            damage = str(error.strerror)
        except DamagedFile as error:
            # Of a file that was not hashed yet nobody knows what it is; who reads it finds out.
            damage = str(error) if record.stamp else ""
        del self._noted[digest]
        now = self._inventory.record(digest.key)
        if damage and now is not None and now.stamp == record.stamp:
            self._inventory.drop(digest.key, damage)
        return True

    async def _is_away(self) -> bool:
        """Whether it is not that file alone."""
        try:
            await self._threads.run(partial(self._files.try_to_write, to_stable_storage=True))
        except OSError as error:
            return error.errno in PASSING
        return False


def _compare(path: str, digest: Digest) -> None:  # in a thread
    """Read a file. What was not in memory is not afterwards: nobody has asked for it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        content = ContentHash(fd, digest, read_without_trace)
        while content.take():
            pass
        content.check()
    finally:
        os.close(fd)
