"""What brings data to stable storage, and what tells one boot of the machine from the next."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

#: Changes at each boot, and only then (random(4)); the same in all containers of a machine.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_libc = ctypes.CDLL(None, use_errno=True)


def boot_id() -> str:
    """Which boot of the machine this is; "" if the system does not tell."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def sync_file_system(fd: int) -> None:
    """Bring all that was written to the file system of ``fd`` to its disk. Any thread may.

    One call for files, names and folders alike: the file system writes them in the order that suits
    the disk, with one commit of its journal at the end: 2,000 files of 20 kB in 0.04 s on ext4, where
    ``fsync`` of each takes 4.9 s; for 20 files of 20 MiB it makes no difference. It writes what other
    programs have left unwritten there, too.

    :raises OSError: the disk failed since ``fd`` was opened or since the last call, or has no room.
    """
    if not hasattr(_libc, "syncfs"):
        os.sync()
    elif _libc.syncfs(fd):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def sync_file(path: Path) -> None:
    """Bring one file, or the names in one folder, to the disk.

    :raises OSError: it cannot be.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_file(path: Path, data: bytes) -> None:
    """Put a file in the place of another, on the disk too: a power cut leaves the one or the other.

    :raises OSError: it cannot be; the other one is still there.
    """
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(data)
    sync_file(new)
    new.rename(path)
    sync_file(path.parent)
