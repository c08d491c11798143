"""Why a file does not get longer, found out by writing: LMDB calls a write that the end of the disk has cut short
an error of the disk.
"""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

from gorego_tw.storage.failures import FULL

#: As much as LMDB writes at once (MDB_COMMIT_PAGES): where so much goes into a file, none of it was cut short.
_LONGEST_WRITE_BYTES = 64 * 4096


def shortage(file: Path) -> str | None:
    """What keeps that file from getting longer, in the system's words: disk, quota or the limit of files are
    full; None if it is nothing of that.
    """
    try:
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY and file.stat().st_size >= limit:
            return os.strerror(errno.EFBIG)
        _write_beside(file)
    except OSError as error:
        return error.strerror if error.errno in FULL else None
    return None


def _write_beside(file: Path) -> None:
    path = file.with_name("shortage")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        path.unlink(missing_ok=True)
        written = 0
        while written < _LONGEST_WRITE_BYTES:
            written += os.pwrite(fd, bytes(_LONGEST_WRITE_BYTES - written), written)
    finally:
        os.close(fd)
