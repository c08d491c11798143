"""A disk that gives other bytes than were written, below a memory that has only what was read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

PAGE = 4096


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
        self._preadv = os.preadv
        test.patch(os, "preadv", self._read)

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
