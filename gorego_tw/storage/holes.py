"""Holes: pages of a file that take no room on the disk, and are zeros to who reads them."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

#: fallocate(2): give the blocks back, and leave the file as long as it is.
_KEEP_SIZE = 0x01
_PUNCH_HOLE = 0x02

_libc = ctypes.CDLL(None, use_errno=True)


def taken_bytes(file: Path) -> int:
    """What a file takes of the disk, without its holes, in bytes.

    :raises OSError: the disk fails.
    """
    return file.stat().st_blocks * 512


def punch(fd: int, start: int, size: int) -> None:
    """Make a hole. It takes some 20 µs, and now and then as long as the file system's journal wants.

    :param start: where it begins, in bytes, and ``size`` how long it is: whole blocks.
    :raises OSError: the file system has no holes, or the disk fails.
    """
    if not hasattr(_libc, "fallocate"):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    offset, length = ctypes.c_int64(start), ctypes.c_int64(size)
    if _libc.fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, offset, length):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
