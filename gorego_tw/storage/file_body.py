"""A blob that is a file, on its way out: from memory at once, from the disk through a thread."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable

from zope.interface import implementer

from gorego_tw.errors import DataLoss, StatusError
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage.closing import close
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.failures import PASSING, status_of
from gorego_tw.storage.reading import read_now

#: How much is read at once, in bytes, and is one message to who reads the blob. grpcio takes messages of
#: this size at twice the rate of those of 128 KiB; 1 MiB was no faster. Each read under way takes up to so
#: much memory.
READ_CHUNK = 512 * 1024

#: How much is read first, in bytes: all that a client wants who reads little, or who never reads on.
FIRST_CHUNK = 64 * 1024


@implementer(IBlobBody)
class FileBody:
    """An open file with a blob in it.

    :param fd: the file; closed when the body was read or discarded.
    :param threads: where reads go that have to wait for the disk.
    :param damaged: told what is wrong when the file turns out not to be the blob.
    :param may_pass: asked of what the disk says when it cannot read the file; if so that is no damage yet.
    """

    __slots__ = ("_damaged", "_fd", "_may_pass", "_threads", "size_bytes")

    def __init__(
        self,
        fd: int,
        size_bytes: int,
        threads: DiskThreads,
        *,
        damaged: Callable[[str], object],
        may_pass: Callable[[OSError], bool],
    ) -> None:
        self.size_bytes = size_bytes
        self._fd = fd
        self._threads = threads
        self._damaged = damaged
        self._may_pass = may_pass

    def chunks(self, offset: int = 0, end: int | None = None) -> AsyncIterator[bytes | memoryview]:
        """Pieces of up to READ_CHUNK bytes, all in the same memory."""
        return FilePieces(self, offset, self.size_bytes if end is None else end)

    async def read_all(self) -> bytes:
        """The whole blob, read into memory of its own."""
        data = bytearray(self.size_bytes)
        try:
            with memoryview(data) as rest:
                done = 0
                while done < len(data):
                    done += await self.read(rest[done:], done)
        finally:
            self.discard()
        return bytes(data)

    def discard(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            close(fd)

    async def read(self, into: memoryview, offset: int) -> int:
        """Read what comes at once, or what the disk gives if nothing does.

        :returns: how many bytes, at least one.
        :raises DataLoss: there are none, or the disk cannot read them.
        :raises Unavailable: it cannot for now.
        """
        try:
            count = read_now(self._fd, into, offset)
            if count is None:
                count = await self._threads.run(os.preadv, self._fd, [into], offset)
        except OSError as error:
            raise self._failure(error) from error
        if not count:
            raise self._truncated()
        return count

    def __del__(self) -> None:
        self.discard()

    def _truncated(self) -> DataLoss:
        self._damaged("truncated while it was read")
        return DataLoss("local tier: the blob was truncated while it was read")

    def _failure(self, error: OSError) -> StatusError:
        if error.errno not in PASSING or self._may_pass(error):
            return status_of(error)
        self._damaged("the disk cannot read it")
        return DataLoss("local tier: the disk cannot read the blob")


class FilePieces:
    """The pieces of a body from ``offset`` to ``end``.

    No generator, because closing a generator that was never asked for anything runs none of
    its code, and the file would stay open.
    """

    __slots__ = ("_body", "_end", "_memory", "_offset", "_pieces")

    def __init__(self, body: FileBody, offset: int, end: int) -> None:
        self._body = body
        self._offset = offset
        self._end = end
        self._pieces = 0
        self._memory = memoryview(bytearray(min(FIRST_CHUNK, end - offset)))

    def __aiter__(self) -> FilePieces:
        return self

    async def __anext__(self) -> memoryview:
        """The next piece, in the memory of the one before but for the second."""
        body = self._body
        left = self._end - self._offset
        if left <= 0:
            body.discard()
            raise StopAsyncIteration
        if self._pieces == 1:
            self._memory = memoryview(bytearray(min(READ_CHUNK, left)))
        self._pieces += 1
        try:
            count = await body.read(self._memory[:left], self._offset)
        except BaseException:
            body.discard()
            raise
        self._offset += count
        return self._memory[:count]

    async def aclose(self) -> None:
        """Close the file."""
        self._body.discard()
