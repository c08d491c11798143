"""Reading a file without waiting for the disk."""

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
