"""Where the index's file is on the disk, noted beside it: a copy of it is elsewhere.

A copy that was made while a daemon went on, or of an earlier time, is as whole as any index: it knows files that
are not there, or does not know files that are, which nobody would ever find out.
"""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import suppress
from pathlib import Path

from gorego_tw.storage.stable_storage import replace_file

_NAME = "place"

#: FS_IOC_GETVERSION (ioctl_iflags(2), linux/fs.h): the generation of an inode.
_GET_VERSION = 0x80087601


def was_elsewhere(folder: Path) -> bool:
    """Whether the file of the index in that folder is not the one that was noted.

    Nothing is noted by older programs, nor where the disk had no room for it.

    :raises OSError: its file cannot be looked at.
    """
    try:
        noted = (folder / _NAME).read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return noted != _place(folder)


def note_place(folder: Path) -> None:
    """It belongs there. If that cannot be noted the next start looks again.

    :raises OSError: its file cannot be looked at.
    """
    place = _place(folder)
    with suppress(OSError):
        path = folder / _NAME
        if not path.exists() or was_elsewhere(folder):
            replace_file(path, place.encode())


def _place(folder: Path) -> str:
    with (folder / "data.mdb").open("rb") as file:
        fd = file.fileno()
        # The number of a device may be another one after each boot; this is a file system's own, where it has one.
        return f"{os.statvfs(fd).f_fsid:x} {os.fstat(fd).st_ino} {_generation(fd)}\n"


def _generation(fd: int) -> int:
    """Tells a file from an earlier one with the same number, which is free when that is deleted; 0 if nothing does."""
    memory = bytearray(8)
    try:
        fcntl.ioctl(fd, _GET_VERSION, memory)
    except OSError:
        return 0
    return int.from_bytes(memory[:4], sys.byteorder)
