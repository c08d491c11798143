"""A blob that is a file as it is, on its way out: whatever is read is compared before all of it is given out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from zope.interface import implementer

from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, DigestMismatch
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage.block_sums import SUMMED_BYTES, are_of
from gorego_tw.storage.content import Content
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.file_body import FileBody
from gorego_tw.storage.verified_files import FileVersion, VerifiedFiles


@implementer(IBlobBody)
class CheckedBody(FileBody):
    """An open file with a blob in it.

    Of a file that this process has found right before, each piece is compared with its checksums when it
    is read, wherever it comes from, and nothing is given out that is not as it was. Any other is hashed
    in the threads that read it, and the last piece is held back until the hash is right; or all of it
    before, for a part that does not begin at the start, or ends before the end.

    So nobody who reads to the end has a byte that is wrong, and who leaves before the end has none, unless
    it was the first to read.

    :param fd: the file; closed when the body was read or discarded.
    :param version: what the file is.
    :param threads: where reads go that have to wait for the disk.
    :param damaged: told what is wrong when the file turns out not to be the blob.
    :param may_pass: asked of what the disk says when it cannot read the file; if so that is no damage yet.
    :param verified: the files that were found right.
    :ivar is_part: whether what will be read does not begin at the start, or ends before the end.
    """

    __slots__ = ("_content", "_digest", "_sums", "_verified", "_version", "is_part")

    def __init__(
        self,
        fd: int,
        digest: Digest,
        *,
        version: FileVersion,
        threads: DiskThreads,
        damaged: Callable[[str], object],
        may_pass: Callable[[OSError], bool],
        verified: VerifiedFiles,
    ) -> None:
        self.is_part = False
        self._digest = digest
        self._version = version
        self._verified = verified
        self._sums = verified.sums(version)
        self._content: Content | None = None
        super().__init__(fd, digest.size_bytes, threads, damaged=damaged, may_pass=may_pass)

    def chunks(self, offset: int = 0, end: int | None = None) -> AsyncIterator[bytes | memoryview]:
        """Pieces of up to READ_CHUNK bytes, all in the same memory."""
        self.is_part = offset > 0 or (end is not None and end < self.size_bytes)
        return super().chunks(offset, end)

    async def read(self, into: memoryview, offset: int) -> int:
        """Read what is next, or from anywhere if that is a part or the file was found right before.

        :returns: how many bytes, at least one.
        :raises DataLoss: there are none, or the disk cannot read them, or they are wrong, or the blob is with them.
        :raises Unavailable: it cannot for now.
        """
        try:
            if self._sums is None and self.is_part:
                self._sums = await self._verified.learn(self._version, self._verify)
            if self._sums is None:
                return await self._take(into, offset)
        except OSError as error:
            raise self._failure(error) from error
        except DigestMismatch as error:
            raise self._wrong("wrong hash") from error
        return await self._read_known(self._sums, into, offset)

    async def _take(self, into: memoryview, offset: int) -> int:
        """Read what is next for the first time."""
        if self._content is None:
            self._content = self._new_content()
        content = self._content
        if offset >= content.size_bytes:  # what says where the blob is, which is compared with it
            return await super().read(into, offset)
        count = await self._threads.run(content.take, into)
        if not count:
            raise self._truncated()
        self._verified.hashed_bytes += count
        if content.is_whole:
            self._sums = self._sums_of(content)
            self._verified.put(self._version, self._sums)
        return count

    async def _verify(self) -> bytes:
        """Compare all of it with the hash, in turns with what others want of the threads.

        :returns: the checksums.
        """
        content = self._new_content()
        while True:
            self._verified.hashed_bytes += await self._threads.run(content.take_some)
            if content.is_whole:
                return self._sums_of(content)

    async def _read_known(self, sums: bytes, into: memoryview, offset: int) -> int:
        """Read whole blocks, at once if they are in memory, and compare them."""
        before = offset % SUMMED_BYTES
        left = self.size_bytes - offset + before
        if before or len(into) < min(left, SUMMED_BYTES):
            block = memoryview(bytearray(min(left, SUMMED_BYTES)))
            await self._fill(sums, block, offset - before)
            count = min(len(block) - before, len(into))
            into[:count] = block[before : before + count]
            return count
        count = left if left <= len(into) else len(into) - len(into) % SUMMED_BYTES
        await self._fill(sums, into[:count], offset)
        return count

    async def _fill(self, sums: bytes, blocks: memoryview, offset: int) -> None:
        done = 0
        while done < len(blocks):
            done += await super().read(blocks[done:], offset + done)
        if not are_of(sums, blocks, offset):
            raise self._wrong("other bytes than were found right before")

    def _new_content(self) -> Content:
        """Nothing of the file yet."""
        return Content(self._fd, self._digest, self.size_bytes, self._digest.function.hasher())

    def _sums_of(self, content: Content) -> bytes:
        """The checksums of the file, all of which was found right."""
        return content.sums()

    def _wrong(self, damage: str) -> DataLoss:
        self._damaged(damage)
        return DataLoss("local tier: the blob is damaged")
