"""A file that stays in memory while something is measured."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
if hasattr(_libc, "mlock"):
    _libc.mlock.argtypes = ctypes.c_void_p, ctypes.c_size_t

#: How much is read at a time where a file may not be held, in bytes.
_PIECE_BYTES = 1 << 20


@contextmanager
def held(file: Path) -> Iterator[bool]:
    """Read a file, and keep what it has now in memory (mlock(2)) until the end of the block, whoever uses it: a
    system may take what nobody has used for a minute, however much memory is free.

    :returns: whether it is held, for which one must be allowed to (RLIMIT_MEMLOCK); else it was read only.
    """
    with file.open("r+b", buffering=0) as data, mmap.mmap(data.fileno(), 0) as memory:
        place = ctypes.c_char.from_buffer(memory)
        is_held = hasattr(_libc, "mlock") and not _libc.mlock(ctypes.addressof(place), len(memory))
        del place  # or it could not be unmapped
        if not is_held:
            while os.read(data.fileno(), _PIECE_BYTES):
                pass
        yield is_held
