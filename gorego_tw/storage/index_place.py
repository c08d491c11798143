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
    """Whether the file of the index in that folder is not the one that was noted, or not as it was at the end.

    Nothing is noted by older programs, nor where the disk had no room for it.

    :raises OSError: its file cannot be looked at.
    """
    noted = _noted(folder)
    return noted is not None and noted not in _places(folder)


def note_place(folder: Path, *, ended: bool = False) -> None:
    """It belongs there. If that cannot be noted the next start looks again.

    :param ended: whether nobody writes to it before the next start. A copy may be written into the same file, and
        bring its own note along; but no program can choose the time of the change.
    """
    with suppress(OSError):
        place = _places(folder)[ended]
        if place != _noted(folder):
            replace_file(folder / _NAME, place.encode())


def _noted(folder: Path) -> str | None:
    try:
        return (folder / _NAME).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None


def _places(folder: Path) -> tuple[str, str]:
    """What is noted of the file that is there: while it is in use, and at the end."""
    with (folder / "data.mdb").open("rb") as file:
        fd = file.fileno()
        found = os.fstat(fd)
        # The number of a device may be another one after each boot; this is a file system's own, where it has one.
        place = f"{os.statvfs(fd).f_fsid:x} {found.st_ino} {_generation(fd)}"
    return f"{place}\n", f"{place} {found.st_ctime_ns}\n"


def _generation(fd: int) -> int:
    """Tells a file from an earlier one with the same number, which is free when that is deleted; 0 if nothing does."""
    memory = bytearray(8)
    try:
        fcntl.ioctl(fd, _GET_VERSION, memory)
    except OSError:
        return 0
    return int.from_bytes(memory[:4], sys.byteorder)
