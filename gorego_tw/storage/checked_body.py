"""A blob that is a file as it is, on its way out: what comes from the disk is compared with the digest."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable

from zope.interface import implementer

from gorego_tw.digest import Digest, Hasher
from gorego_tw.errors import DataLoss, DigestMismatch
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage.blob_writer import check_hash
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.file_body import FileBody
from gorego_tw.storage.reading import read_all, read_in_memory
from gorego_tw.storage.unverified import Unverified

#: How much of what is hashed for nobody who reads it now is read at once, in bytes.
_CATCH_UP_BYTES = 256 * 1024


@implementer(IBlobBody)
class CheckedBody(FileBody):
    """An open file with a blob in it.

    What is in memory is given out as it is: it was verified when it came there. From the first
    piece on that the disk has to be asked for, everything is hashed in the threads that read it,
    with what was given out before, and the last piece is held back until the hash is right. So
    nobody who reads to the end has a byte that is wrong. For a part that does not begin at the start,
    or ends before the end, all of the file is hashed before.

    :param fd: the file; closed when the body was read or discarded.
    :param inode: the file's number.
    :param threads: where reads go that have to wait for the disk.
    :param damaged: told what is wrong when the file turns out not to be the blob.
    :param may_pass: asked of what the disk says when it cannot read the file; if so that is no damage yet.
    :param unverified: which files other readers bring to memory.
    :ivar is_part: whether what will be read does not begin at the start, or ends before the end.
    :ivar until: where in the file it ends; None is at the end.
    """

    __slots__ = (
        "_began",
        "_content",
        "_digest",
        "_files",
        "_inode",
        "_is_cold",
        "_is_hashed",
        "_unverified",
        "is_part",
        "until",
    )

    def __init__(
        self,
        fd: int,
        digest: Digest,
        *,
        inode: int,
        threads: DiskThreads,
        damaged: Callable[[str], object],
        may_pass: Callable[[OSError], bool],
        unverified: Unverified,
    ) -> None:
        self._digest = digest
        self._inode = inode
        self._unverified = unverified
        self._files = unverified.files
        self.is_part = False
        self.until: int | None = None
        self._is_cold = False
        self._is_hashed = False
        super().__init__(fd, digest.size_bytes, threads, damaged=damaged, may_pass=may_pass)

    def chunks(self, offset: int = 0, end: int | None = None) -> AsyncIterator[bytes | memoryview]:
        """Pieces of up to READ_CHUNK bytes, all in the same memory."""
        self.is_part = offset > 0 or (end is not None and end < self.size_bytes)
        self.until = end
        return super().chunks(offset, end)

    def discard(self) -> None:
        """Close the file. What was brought to memory of it is not trusted, unless all was compared."""
        super().discard()
        if self._is_cold:
            self._end(self._began, whole=False)

    async def read(self, into: memoryview, offset: int) -> int:
        """Read what is in memory and can be trusted, or what the disk gives.

        :returns: how many bytes, at least one.
        :raises DataLoss: there are none, or the disk cannot read them, or with them the blob is not right.
        :raises Unavailable: it cannot for now.
        """
        try:
            if not self._is_cold:
                count = read_in_memory(self._fd, into, offset)
                if count is not None and (self._is_hashed or self._inode not in self._files):
                    return count
                await self._begin()
            count = await self._take(into, offset)
        except OSError as error:
            raise self._failure(error) from error
        except DigestMismatch as error:
            self._damaged("wrong hash")
            raise DataLoss("local tier: the blob is damaged") from error
        if not count:
            raise self._truncated()
        return count

    async def _begin(self) -> None:
        self._began = self._unverified.begin(self._inode, self._digest.key)
        self._is_cold = True
        self._content = self._new_content()
        if self.is_part:
            self.is_part = False
            turn = await self._unverified.hash_once(self._inode, self._hash_all)
            self._end(turn, whole=True)
            self._is_hashed = True

    def _new_content(self) -> Content:
        """Nothing of the file yet."""
        hasher = self._digest.function.hasher()
        return Content(self._fd, self._digest, self.size_bytes, hasher)

    async def _hash_all(self) -> None:
        self._unverified.verified_bytes += self._content.size_bytes
        await self._threads.run(self._content.hash_all)

    async def _take(self, into: memoryview, offset: int) -> int:
        if not self._is_cold:  # all was hashed
            return await self.read(into, offset)
        before = self._content.hashed_bytes
        count = await self._threads.run(self._content.take, into, offset, self.until)
        self._unverified.verified_bytes += self._content.hashed_bytes - before
        if self._content.is_whole:
            self._end(self._began, whole=True)
        return count

    def _end(self, turn: int, *, whole: bool) -> None:
        self._is_cold = False
        self._unverified.end(self._inode, turn, whole=whole)


class Content:
    """What is in a file, from its beginning on, on its way to a reader; one call at a time, in any thread.

    :param size_bytes: how much of the file is to be taken in; what is behind that is given out as it is.
    :param hasher: makes the hash of the blob of that.
    :ivar hashed_bytes: how much was taken in, in bytes.
    """

    def __init__(self, fd: int, digest: Digest, size_bytes: int, hasher: Hasher) -> None:
        self.size_bytes = size_bytes
        self.hashed_bytes = 0
        self._fd = fd
        self._digest = digest
        self._hasher = hasher

    @property
    def is_whole(self) -> bool:
        """Whether all was taken in."""
        return self.hashed_bytes == self.size_bytes

    def take(self, into: memoryview, offset: int, until: int | None = None) -> int:
        """Read from ``offset`` on, and hash what is before it, if it was not, and what is read.

        :param until: where the last bytes end that are read; what is behind them is hashed with them. None is
            the end.
        :returns: how many bytes were read, 0 if there are none any more.
        :raises DigestMismatch: those are the last ones, and the file is not the blob.
        """
        if offset >= self.size_bytes:
            return os.preadv(self._fd, (into,), offset)
        if not self._catch_up(offset):
            return 0
        count = os.preadv(self._fd, (into[: self.size_bytes - offset],), offset)
        self._hash(into[:count])
        if offset + count >= (self.size_bytes if until is None else until):
            self.hash_all()
        return count

    def hash_all(self) -> None:
        """Take in all of it.

        :raises DigestMismatch: the file is not the blob.
        """
        self._catch_up(self.size_bytes)
        check_hash(self._digest, self._hasher.digest())

    def _catch_up(self, offset: int) -> bool:
        """Whether all is there that is before ``offset``."""
        if self.hashed_bytes == offset:
            return True
        memory = memoryview(bytearray(_CATCH_UP_BYTES))
        while left := offset - self.hashed_bytes:
            count = read_all(self._fd, memory[:left], self.hashed_bytes)
            if not count:
                return False
            self._hash(memory[:count])
        return True

    def _hash(self, data: memoryview) -> None:
        self._hasher.update(data)
        self.hashed_bytes += len(data)
