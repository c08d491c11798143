"""A disk that gives other bytes than were written, below a memory that has only what was read."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.concurrency import closing
from gorego_tw.storage.disk_threads import HeldDiskThreads
from gorego_tw.storage.records import FILE, BlobRecord
from gorego_tw.storage.verified_files import VerifiedFiles, version_of
from tests.storage.tiers import open_files

PAGE = 4096

Pieces = AsyncIterator[bytes | memoryview]


class ColdDisk:
    """Stands between a file and all who read it; what was not read yet is not in memory.

    :ivar content: what the disk gives.
    :ivar ahead: how many pages more are read than are asked for.
    """

    def __init__(self, test: SynchronousTestCase, path: Path) -> None:
        self.content = bytearray(path.read_bytes())
        self.ahead = 0
        self._inode = path.stat().st_ino
        self._memory: dict[int, bytes] = {}
        self._preadv, self._advise = os.preadv, os.posix_fadvise
        test.patch(os, "preadv", self._read)
        test.patch(os, "posix_fadvise", self._advised)

    def damage(self, position: int) -> None:
        """Give another byte there from now on; what is in memory stays as it is."""
        self.content[position] ^= 1

    def warm(self, start: int, end: int) -> None:
        """Have what is there in memory."""
        for page in range(start // PAGE, -(-end // PAGE)):
            self._memory.setdefault(page, bytes(self.content[page * PAGE : (page + 1) * PAGE]))

    def forget(self) -> None:
        """Have nothing in memory."""
        self._memory.clear()

    def _advised(self, fd: int, offset: int, length: int, advice: int) -> None:
        self._advise(fd, offset, length, advice)
        if advice == os.POSIX_FADV_DONTNEED and os.fstat(fd).st_ino == self._inode:
            end = offset + length if length else len(self.content)
            for page in range(offset // PAGE, -(-end // PAGE)):
                self._memory.pop(page, None)

    def _read(self, fd: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        if os.fstat(fd).st_ino != self._inode:
            return self._preadv(fd, buffers, offset, flags)
        into = buffers[0]
        end = min(len(self.content), offset + len(into))
        position = offset
        while position < end:
            page, inside = divmod(position, PAGE)
            if page not in self._memory:
                # As Linux does: it begins to read, and does not wait.
                self.warm(position, end + self.ahead * PAGE)
                if flags and position == offset:
                    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                if flags:
                    break
            found = self._memory[page][inside : inside + end - position]
            into[position - offset : position - offset + len(found)] = found
            position += len(found)
        return position - offset


class ColdFileTestCase(SynchronousTestCase):
    """Has a file on such a disk, and readers of it, all of whom have closed it at the end.

    :ivar version: what it is.
    :ivar verified: the files that they found right.
    :ivar damage: what they told of it.
    """

    def have(self, file: Path) -> None:
        """Have that one."""
        self.file = file
        self.version = version_of(b"key", BlobRecord(0, FILE, file.stat().st_size, 1))
        self.threads = HeldDiskThreads()
        self.damage: list[str] = []
        self.verified = VerifiedFiles(Clock())
        self.before = open_files()
        self.disk = ColdDisk(self, file)

    def tearDown(self) -> None:
        """Whatever became of its readers, the file is closed."""
        self.assertEqual(open_files(), self.before)

    async def read(self, pieces: Pieces, into: bytearray) -> None:
        """Take all of them."""
        async with closing(pieces):
            async for piece in pieces:
                into += piece

    def take_one(self, pieces: Pieces) -> None:
        """Take the next piece."""

        async def take() -> None:
            await anext(pieces)

        taking = Deferred.fromCoroutine(take())
        self.threads.release()
        self.successResultOf(taking)
