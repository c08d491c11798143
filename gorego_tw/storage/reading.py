"""Reading a file: without waiting for the disk, to the end of what is asked for, or without a trace."""

from __future__ import annotations

import errno
import os

#: What preadv says where the page is not in memory, or where it cannot tell.
_NOT_NOW = frozenset({errno.EAGAIN, errno.EOPNOTSUPP})

#: Not a number that Linux alone has: elsewhere every read takes a thread.
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)


def read_now(fd: int, into: memoryview, offset: int) -> int | None:
    """Read what is in memory of a file.

    :returns: how many bytes, 0 at the end of the file; None if a thread has to read them.
    :raises OSError: it cannot be read.
    """
    if _NOWAIT is None:
        return None
    try:
        return os.preadv(fd, (into,), offset, _NOWAIT)
    except OSError as error:
        if error.errno in _NOT_NOW:
            return None
        raise


def read_all(fd: int, into: memoryview, offset: int) -> int:
    """Read until ``into`` is full or the file ends. It takes long; any thread may.

    :returns: how many bytes.
    :raises OSError: it cannot be read.
    """
    done = 0
    while done < len(into) and (count := os.preadv(fd, (into[done:],), offset + done)):
        done += count
    return done


def read_without_trace(fd: int, into: memoryview, offset: int) -> int:
    """The same, and what had to be read for it does not stay in memory afterwards."""
    found = read_now(fd, into, offset) or 0
    # The attempt itself may have begun to bring the rest to memory (Linux reads ahead even then).
    more = read_all(fd, into[found:], offset + found) if found < len(into) else 0
    if more:
        os.posix_fadvise(fd, offset + found, more, os.POSIX_FADV_DONTNEED)
    return found + more
