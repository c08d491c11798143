"""What is brought back from an index that was set aside: small blobs, which are nowhere else.

All of its file is read, page by page, whatever the trees say, since they may be what is damaged. A blob is
known by its hash, wherever it is found, in a page in use or in one that was freed: what was evicted lately
may come back, too. What else the index had is left where it is:

- Action results have a checksum, and nothing that tells the last one from those before it: a page that
  was freed may have one that was replaced since. A client whose result is gone runs the action again;
  one that is given an old result never learns of it.
- Files know by themselves what they are (:mod:`gorego_tw.storage.reconciliation`).
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from txaio.tx import make_logger

from gorego_tw.concurrency import Periodic
from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.environment import Environment
from gorego_tw.storage.folder import Folder
from gorego_tw.storage.index import Index
from gorego_tw.storage.last_use import LastUse
from gorego_tw.storage.lmdb_pages import DamagedPage, Value, unpack_meta, values
from gorego_tw.storage.reading import read_all
from gorego_tw.storage.records import INLINE, INLINE_LIMIT, BlobRecord, disk_bytes
from gorego_tw.storage.set_aside import SetAside, indexes_set_aside
from gorego_tw.storage.space import Space

#: How often is looked whether there is something to bring back, in seconds.
LOOK_SECONDS = 1.0

#: How many pages are read at once.
PIECE_PAGES = 64

#: How long it works at a time, in seconds, and how long it leaves to others afterwards.
SLICE_SECONDS = 0.001
REST_SECONDS = 0.004

#: How many blobs are kept in one transaction, which takes as long.
BATCH_BLOBS = 32

#: How large pages may be, in bytes.
_PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)

#: The next page; or that there is none.
_POSITION = Struct("<Q")
_DONE = b""
T = TypeVar("T")

_FUNCTIONS = {function.value: 1 + function.hash_bytes for function in DigestFunction}


class Salvage(Periodic):
    """Reads each index that was set aside once; after a restart it goes on where it was.

    Where it is, is noted in the index, so that after a power cut that agrees with what has come back.

    :param set_aside: takes those that were read.
    :ivar found: how many blobs it has brought back.
    :ivar left_out: how many there was no room for.
    """

    _log = make_logger()

    def __init__(
        self,
        folder: Folder,
        environment: Environment,
        index: Index,
        *,
        set_aside: SetAside,
        space: Space,
        last_use: LastUse,
        threads: DiskThreads,
        clock: IReactorTime,
    ) -> None:
        super().__init__("salvage from a damaged index", self._salvage, LOOK_SECONDS, clock)
        self.found = 0
        self.left_out = 0
        self._environment = environment
        self._index = index
        self._set_aside = set_aside
        self._space = space
        self._last_use = last_use
        self._threads = threads
        self._clock = clock
        self._slice_end = 0.0
        self._waiting: deque[Path] = deque()
        # The latest first: it has what was used last.
        for path in reversed(indexes_set_aside(folder)):
            if self._position(path) is None:
                set_aside.add(path)
            else:
                self._waiting.append(path)

    async def _salvage(self) -> None:
        while self.running and self._waiting:
            path = self._waiting[0]
            try:
                await self._read(path)
            except OSError as error:  # it may be another time, in another process
                self._log.error("{path} cannot be read: {error}", path=str(path), error=error)
                self._waiting.popleft()
                continue
            if self.running:
                self._environment.note_position(_name(path), _DONE)
                self._waiting.popleft()
                self._set_aside.add(path)
                self._tell(path)

    def _tell(self, path: Path) -> None:
        self._log.info(
            "{found} small blobs came back from {path}, {left_out} found no room; "
            "action results in it are left out, since nothing tells how old they are",
            found=self.found,
            left_out=self.left_out,
            path=str(path),
        )

    async def _read(self, path: Path) -> None:
        fd = os.open(path / "data.mdb", os.O_RDONLY | os.O_CLOEXEC)
        try:
            # As old as the last of them at least: they are evicted before what is used from now on.
            used = min(int(os.fstat(fd).st_mtime), self._last_use.now)
            size = _page_bytes(fd)
            pages = os.fstat(fd).st_size // size
            number = self._position(path) or 0
            while self.running and number < pages:
                piece = await self._wait(self._threads.run(_read_pages, fd, number, size))
                await self._look_through(fd, piece, number, size, used)
                if self.running:
                    number += PIECE_PAGES
                    self._environment.note_position(_name(path), _POSITION.pack(number))
        finally:
            os.close(fd)

    async def _look_through(self, fd: int, piece: bytes, number: int, size: int, used: int) -> None:
        blobs: list[tuple[Digest, bytes]] = []
        for at in range(0, len(piece) - size + 1, size):
            here, elsewhere = self._unknown(piece[at : at + size], number + at // size)
            if elsewhere:
                found = await self._wait(self._threads.run(_read_values, fd, elsewhere, size))
                here += zip((value.key for value in elsewhere), found, strict=True)
            for key, data in here:
                digest = digest_of(data, DigestFunction(key[0]))
                if digest.key == key:
                    blobs.append((digest, data))
            if len(blobs) >= BATCH_BLOBS:
                self._keep(blobs, used)
                blobs = []
            await self._rest()
            if not self.running:
                break
        self._keep(blobs, used)

    def _unknown(self, page: bytes, number: int) -> tuple[list[tuple[bytes, bytes]], list[Value]]:
        """What may be blobs that are not stored: those whose bytes are in the page, and the others."""
        found = [value for value in values(page, number) if _may_be_blob(value)]
        records = self._index.blobs(value.key for value in found)
        unknown = [value for value, record in zip(found, records, strict=True) if record is None]
        here = [(value.key, value.data) for value in unknown if value.page is None]
        return here, [value for value in unknown if value.page is not None]

    def _keep(self, blobs: list[tuple[Digest, bytes]], used: int) -> None:
        for start in range(0, len(blobs), BATCH_BLOBS):
            room = -self._space.excess_bytes
            with self._index.write() as txn:
                for digest, data in dict(blobs[start : start + BATCH_BLOBS]).items():
                    if self._index.blobs([digest.key]) != [None]:
                        continue
                    if room < disk_bytes(len(data)):
                        self.left_out += 1
                        continue
                    room -= disk_bytes(len(data))
                    txn.put_blob(digest.key, BlobRecord(used, INLINE, len(data), 0), data)
                    self.found += 1

    async def _wait(self, reading: Deferred[T]) -> T:
        """What is read, which is no work of this thread."""
        began = self._clock.seconds()
        result = await reading
        self._slice_end += self._clock.seconds() - began
        return result

    async def _rest(self) -> None:
        if not self._slice_end - SLICE_SECONDS <= self._clock.seconds() < self._slice_end:
            await deferLater(self._clock, REST_SECONDS)
            self._slice_end = self._clock.seconds() + SLICE_SECONDS

    def _position(self, path: Path) -> int | None:
        """Which page is the next; None if there is none."""
        noted = self._environment.position(_name(path))
        if noted is None:
            return 0
        return _POSITION.unpack(noted)[0] if len(noted) == _POSITION.size else None


def _name(path: Path) -> bytes:
    return b"salvage " + os.fsencode(path.name)


def _page_bytes(fd: int) -> int:
    """How large the pages of a file are: what one of its meta pages says, or what LMDB makes here."""
    for size in _PAGE_SIZES:
        for offset in (0, size):
            with suppress(DamagedPage, OSError):
                return unpack_meta(os.pread(fd, 256, offset)).page_bytes
    return mmap.PAGESIZE


def _read_pages(fd: int, number: int, size: int) -> bytes:  # in a thread
    """Some pages; zeros in the place of those that cannot be read."""
    piece = bytearray(PIECE_PAGES * size)
    with memoryview(piece) as whole:
        try:
            return bytes(whole[: read_all(fd, whole, number * size)])
        except OSError:
            for at in range(0, len(piece), size):
                with suppress(OSError):
                    read_all(fd, whole[at : at + size], number * size + at)
        return bytes(whole)


def _read_values(fd: int, elsewhere: list[Value], size: int) -> list[bytes]:  # in a thread
    """The values that begin at pages of their own; nothing for those that cannot be read."""
    found = []
    for value in elsewhere:
        data = b""
        with suppress(OSError, OverflowError):
            data = os.pread(fd, value.size_bytes, (value.page or 0) * size + 16)
        found.append(data)
    return found


def _may_be_blob(value: Value) -> bool:
    key = value.key
    return 0 < value.size_bytes <= INLINE_LIMIT and bool(key) and _FUNCTIONS.get(key[0]) == len(key)
