"""The part of this process's page table that is for the index: filled soon after the start.

The first look at a page that is in memory already costs more than all that a lookup does: the processor
has no entry for it, and asks the kernel. With ten million entries and a random one at a time that is so for
hours. The kernel makes the entries of a whole range in a thirtieth of the time.
"""

from __future__ import annotations

import ctypes
import re
from mmap import PAGESIZE
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed

from gorego_tw.storage.disk_threads import DiskThreads

#: How much is filled at a time, in bytes: a millisecond or two, in a thread.
_PIECE_BYTES = 16 << 20

#: The file can be larger than that by far; 8 bytes for each page are 32 MB then.
MOST_BYTES = 16 << 30

#: Runs of pages that are in memory. What is not is left on the disk, and so are single pages between.
_IN_MEMORY = re.compile(rb"\x01{8,}")

#: Make the entries for pages as if they were read: madvise(2), since Linux 5.14.
_MADV_POPULATE_READ = 22

_libc = ctypes.CDLL(None, use_errno=True)
_ADDRESS_AND_LENGTH = (ctypes.c_void_p, ctypes.c_size_t)
# Elsewhere than on Linux nothing of this is there, and nothing is asked for.
if hasattr(_libc, "mincore") and hasattr(_libc, "madvise"):
    _libc.mincore.argtypes = (*_ADDRESS_AND_LENGTH, ctypes.c_char_p)
    _libc.madvise.argtypes = (*_ADDRESS_AND_LENGTH, ctypes.c_int)


class PageTable(Service):
    """Fills it while the service runs, once.

    :param file: of the index, which is mapped.
    :ivar filled_bytes: how much has entries now.
    """

    def __init__(self, file: Path, threads: DiskThreads) -> None:
        self.filled_bytes = 0
        self._file = file
        self._threads = threads
        self._ended: Deferred[None] = succeed(None)

    def startService(self) -> None:
        """Begin."""
        super().startService()
        self._ended = Deferred.fromCoroutine(self._fill())

    def stopService(self) -> Deferred[None]:
        """Fill no more; fires when no thread is at it."""
        super().stopService()
        return self._ended

    async def _fill(self) -> None:
        addresses = await self._threads.run(_mapped, self._file)
        for start in addresses[::_PIECE_BYTES]:
            if not self.running:
                return
            length = min(_PIECE_BYTES, addresses.stop - start)
            self.filled_bytes += await self._threads.run(_fill_piece, start, length)


def _mapped(file: Path) -> range:  # in a thread
    """Where what is in the file is mapped; empty if that is not known."""
    name = str(file.resolve())
    try:
        size = min(file.stat().st_size, MOST_BYTES) // PAGESIZE * PAGESIZE
        for line in Path("/proc/self/maps").read_text().splitlines():
            if line.endswith(name):
                start, _, end = line.split(maxsplit=1)[0].partition("-")
                return range(int(start, 16), min(int(start, 16) + size, int(end, 16)))
    except OSError:
        pass
    return range(0)


def _fill_piece(start: int, length: int) -> int:  # in a thread
    """Make the entries for what is in memory of that; for how many bytes."""
    in_memory = ctypes.create_string_buffer(-(-length // PAGESIZE))
    if _libc.mincore(start, length, in_memory):
        return 0
    filled = 0
    for run in _IN_MEMORY.finditer(in_memory.raw):
        first, end = run.start() * PAGESIZE, run.end() * PAGESIZE
        if _libc.madvise(start + first, end - first, _MADV_POPULATE_READ):
            break  # an older kernel
        filled += end - first
    return filled
