"""A blob that is a compressed file, on its way out: expanded, or as it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable

from zope.interface import implementer

from gorego_tw.errors import DataLoss
from gorego_tw.interfaces import ICompressedBody
from gorego_tw.storage.checked_frames import CheckedFrames
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.file_body import READ_CHUNK
from gorego_tw.zstd.compression import compress
from gorego_tw.zstd.seekable import (
    FRAME_BYTES,
    DamagedFrames,
    Frame,
    FrameDecompressor,
    FrameTable,
    table_bytes,
)

#: Frames that expand to more are expanded in a thread, in bytes: 256 KiB take 0.3 ms, the way there and back
#: 0.05 ms.
_EXPANDED_AT_ONCE = 64 * 1024


@implementer(ICompressedBody)
class CompressedBody:
    """An open file with the frames of a blob in it, and their table.

    :param file: all of it; closed when the body was read or discarded.
    :param threads: where large frames are expanded.
    :param damaged: told what is wrong when the file turns out not to be the blob.
    """

    __slots__ = ("_damaged", "_decompressor", "_file", "_threads", "size_bytes")

    def __init__(
        self,
        file: CheckedFrames,
        size_bytes: int,
        threads: DiskThreads,
        damaged: Callable[[str], object],
    ) -> None:
        self.size_bytes = size_bytes
        self._file = file
        self._threads = threads
        self._damaged = damaged
        self._decompressor = FrameDecompressor()

    @property
    def is_one_frame(self) -> bool:
        """Whether it is a single frame."""
        return self.size_bytes <= FRAME_BYTES

    def chunks(self, offset: int = 0, end: int | None = None) -> AsyncIterator[bytes | memoryview]:
        """What each frame expands to."""
        end = self.size_bytes if end is None else end
        self._file.is_part = offset > 0 or end < self.size_bytes
        return _Pieces(self, self._expanded(offset, end))

    def zstd_chunks(self, offset: int = 0) -> AsyncIterator[bytes | memoryview]:
        """The frames without their table, in pieces of up to READ_CHUNK bytes.

        What is left of a frame that ``offset`` is in the middle of is made a frame of its own.
        """
        self._file.is_part = offset > 0
        return _Pieces(self, self._compressed(offset))

    async def read_all(self) -> bytes:
        """The whole blob."""
        try:
            table = await self._table()
            return b"".join([await self._expand(frame) for frame in table.frames()])
        finally:
            self.discard()

    def discard(self) -> None:
        """Close the file."""
        self._file.discard()

    async def _expanded(self, offset: int, end: int) -> AsyncGenerator[memoryview]:
        if offset >= end:
            return
        table = await self._table()
        for frame in table.frames(offset):
            if frame.first >= end:
                break
            data = memoryview(await self._expand(frame))
            yield data[max(0, offset - frame.first) : end - frame.first]

    async def _compressed(self, offset: int) -> AsyncGenerator[memoryview]:
        if offset == self.size_bytes:
            yield memoryview(compress(b""))
            return
        table = await self._table()
        first = next(table.frames(offset))
        start = first.start
        if offset > first.first:
            rest = (await self._expand(first))[offset - first.first :]
            yield memoryview(compress(rest))
            start = first.end
        memory = memoryview(bytearray(min(READ_CHUNK, table.data_bytes - start)))
        while start < table.data_bytes:
            count = await self._read_some(memory[: table.data_bytes - start], start)
            start += count
            yield memory[:count]

    async def _table(self) -> FrameTable:
        file_bytes, length = self._file.size_bytes, table_bytes(self.size_bytes)
        if length > file_bytes:
            raise self._failure(DamagedFrames("shorter than its table"))
        packed = await self._read(file_bytes - length, file_bytes)
        try:
            return FrameTable(packed, self.size_bytes, file_bytes)
        except DamagedFrames as error:
            raise self._failure(error) from error

    async def _expand(self, frame: Frame) -> bytes:
        data = await self._read(frame.start, frame.end)
        expanded = self._file.expanded(frame)
        if expanded is not None:
            return expanded
        try:
            if frame.size_bytes <= _EXPANDED_AT_ONCE:
                return self._decompressor.expand(data, frame.size_bytes)
            return await self._threads.run(self._decompressor.expand, data, frame.size_bytes)
        except DamagedFrames as error:
            raise self._failure(error) from error

    async def _read(self, start: int, end: int) -> bytearray:
        data = bytearray(end - start)
        with memoryview(data) as rest:
            done = 0
            while done < len(data):
                done += await self._read_some(rest[done:], start + done)
        return data

    async def _read_some(self, into: memoryview, offset: int) -> int:
        try:
            return await self._file.read(into, offset)
        except DamagedFrames as error:
            raise self._failure(error) from error

    def _failure(self, error: DamagedFrames) -> DataLoss:
        self._damaged(str(error))
        return DataLoss("local tier: the blob is damaged")


class _Pieces:
    """Pieces of a body, which is let go of at their end; also if none was ever asked for."""

    __slots__ = ("_body", "_pieces")

    def __init__(self, body: CompressedBody, pieces: AsyncGenerator[memoryview]) -> None:
        self._body = body
        self._pieces = pieces

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> memoryview:
        """The next piece."""
        try:
            return await anext(self._pieces)
        except BaseException:
            self._body.discard()
            raise

    async def aclose(self) -> None:
        """Close the file."""
        await self._pieces.aclose()
        self._body.discard()
