"""A table of keys that outlives a kill: a file in memory, which the kernel keeps when the process is gone."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: The longest key is that of a SHA-512; before it is its length.
_SLOT_BYTES = 80


class KeySlots:
    """The keys that were put in and not taken out. None is put in before ``clear``.

    To put one in or take it out costs a microsecond, and waits for no disk: after a power cut there may be
    anything, or nothing. On a disk without room for it nothing is kept.

    :param path: of the file.
    :param count: how many keys it has room for; others are not kept.
    :ivar left: those that a process before has left.
    """

    def __init__(self, path: Path, count: int) -> None:
        self.left: list[bytes] = []
        self._table: mmap.mmap | None = None
        self._free: list[int] = []
        with suppress(OSError):
            self._table = _mapped(path, count * _SLOT_BYTES)
            self.left = [key for slot in range(count) if (key := self._key(slot))]

    def clear(self) -> None:
        """What was left is taken care of: from now on keys are put in."""
        self.left = []
        if self._table is not None:
            self._table[:] = bytes(len(self._table))
            self._free = list(range(len(self._table) // _SLOT_BYTES))

    def put(self, key: bytes) -> Callable[[], None]:
        """Keep a key.

        :returns: takes it out, once.
        """
        if self._table is None or not self._free:
            return _nothing
        slot = self._free.pop()
        start = slot * _SLOT_BYTES
        self._table[start : start + 1 + len(key)] = bytes([len(key)]) + key
        return lambda: self._take_out(slot)

    def close(self) -> None:
        """Let go of the file; what is in it stays."""
        table, self._table = self._table, None
        if table is not None:
            table.close()

    def _take_out(self, slot: int) -> None:
        if self._table is not None:
            self._table[slot * _SLOT_BYTES] = 0
            self._free.append(slot)

    def _key(self, slot: int) -> bytes:
        assert self._table is not None
        start = slot * _SLOT_BYTES
        return self._table[start + 1 : start + 1 + self._table[start]]


def _mapped(path: Path, size_bytes: int) -> mmap.mmap:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # Blocks of the disk for all of it: to write where there is none would be SIGBUS.
        os.posix_fallocate(fd, 0, size_bytes)
        return mmap.mmap(fd, size_bytes)
    finally:
        os.close(fd)


def _nothing() -> None:
    """Of a key that is not kept."""
