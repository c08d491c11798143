"""How much of the disk is ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from gorego_tw.settings import GB

#: How large the cache may grow if nothing is said, in bytes.
DEFAULT_LIMIT_BYTES = 10 * GB

#: What others shall find free on the file system: a twentieth of it, and this at most, in bytes.
FREE_SHARE = 20
MOST_FREE_BYTES = GB


class Capacity(NamedTuple):
    """How much the cache may take, how much it leaves free on the file system, and how large that is, in bytes.

    :ivar is_cut: whether more was asked for than there is: the file system would be full before.
    """

    limit_bytes: int
    free_reserve_bytes: int
    file_system_bytes: int
    is_cut: bool


def capacity(folder: Path, max_size_gb: float | None) -> Capacity:
    """What the cache in ``folder``, which need not exist yet, may take.

    :param max_size_gb: the limit that is configured, in gigabytes; None for :data:`DEFAULT_LIMIT_BYTES`. It is never
        more than the file system can bear.
    :raises OSError: nothing can be learned of the file system.
    """
    total = _size_bytes(_existing(folder))
    reserve = min(total // FREE_SHARE, MOST_FREE_BYTES)
    asked = DEFAULT_LIMIT_BYTES if max_size_gb is None else round(max_size_gb * GB)
    # With a limit beyond that the index alone, which gives nothing back when its entries are evicted, could fill the
    # file system for good.
    most = total - reserve
    return Capacity(min(asked, most), reserve, total, max_size_gb is not None and asked > most)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _size_bytes(folder: Path) -> int:
    about = os.statvfs(folder)
    return about.f_frsize * about.f_blocks
