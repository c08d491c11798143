"""Closing files that may have been deleted meanwhile: whoever closes one last waits until its blocks are freed."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from threading import Thread

from gorego_tw.storage.files import FREED_AT_ONCE_BYTES

#: The name of each thread that closes a file.
CLOSING = "closing"


def _in_a_thread(work: Callable[[], object]) -> None:
    Thread(target=work, name=CLOSING).start()


def close(fd: int, elsewhere: Callable[[Callable[[], object]], object] = _in_a_thread) -> None:
    """Close a file that was read; any thread may.

    :param elsewhere: runs what takes long, without anybody waiting for it. So few files were deleted while they were
        read that each may have a thread of its own; those for the disk may all be busy, and take no work from others.
    """
    try:
        found = os.fstat(fd)
        is_slow = not found.st_nlink and found.st_size > FREED_AT_ONCE_BYTES
    except OSError:  # of a file that is on another machine, and is gone there
        is_slow = True
    work = partial(os.close, fd)
    if not is_slow:
        work()
        return
    try:
        elsewhere(work)
    except RuntimeError:  # the system lets no thread begin
        work()
