"""A compressed file made of the file of a blob: in a thread, frame by frame."""

from __future__ import annotations

import os

from gorego_tw.digest import Digest
from gorego_tw.storage.block_sums import BlockSums
from gorego_tw.storage.closing import close
from gorego_tw.storage.reading import read_without_trace
from gorego_tw.storage.records import disk_bytes
from gorego_tw.zstd.seekable import FRAME_BYTES, FrameCompressor, pack_table

#: What is not made smaller than that part of itself is not worth its expansion at each read. What
#: is compressed already shows that in its first frame, which takes 1 ms.
WORTHWHILE = 0.9


class WrongContent(Exception):
    """A file whose content is not the blob."""


class FrameFile:
    """The file that is made. One call at a time; ``close`` at the end, whatever happened.

    The content is hashed while it is compressed, so that no damage gets a checksum that is right.

    :param source: the path of the file of the blob.
    :param path: of the file to be made.
    :param compressor: used by nobody else meanwhile.
    :ivar wanted: set to False, from any thread, to break off at the next frame.
    :ivar sums: the checksums of what was made.
    """

    def __init__(self, digest: Digest, source: str, path: str, compressor: FrameCompressor) -> None:
        self.wanted = True
        self.sums = BlockSums()
        self._digest = digest
        self._source_path = source
        self._path = path
        self._compressor = compressor
        self._source = -1
        self._fd = -1

    def make(self) -> int | None:
        """Compress all of it.

        :returns: how long the file is, in bytes; None if it is not wanted, or not worthwhile.
        :raises WrongContent: what was compressed is not the blob.
        :raises OSError: a file cannot be read or written.
        """
        self._source = os.open(self._source_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        os.posix_fadvise(self._source, 0, 0, os.POSIX_FADV_RANDOM)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        lengths, hashed = self._compress()
        if lengths is None:
            return None
        if hashed != self._digest.key[1:]:
            raise WrongContent("wrong hash")
        size_bytes = self._digest.size_bytes
        length = self._append(pack_table(lengths, size_bytes), sum(lengths))
        return length if disk_bytes(length) < disk_bytes(size_bytes) else None

    def sync(self) -> None:
        """Bring the file to stable storage."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close both files. That of the blob may have been replaced."""
        for fd in (self._source, self._fd):
            if fd >= 0:
                close(fd)
        self._source = self._fd = -1

    def _compress(self) -> tuple[list[int] | None, bytes]:
        hasher = self._digest.function.hasher()
        memory = memoryview(bytearray(min(FRAME_BYTES, self._digest.size_bytes)))
        lengths: list[int] = []
        done = written = 0
        while done < self._digest.size_bytes:
            count = self._read(memory[: self._digest.size_bytes - done], done)
            hasher.update(memory[:count])
            frame = self._compressor.compress(memory[:count])
            done += count
            lengths.append(len(frame))
            if not self.wanted or written + len(frame) > WORTHWHILE * done:
                return None, b""
            written = self._append(frame, written)
        return lengths, hasher.digest()

    def _read(self, into: memoryview, offset: int) -> int:
        # Nobody has asked for it: what had to come from the disk need not stay in memory.
        if read_without_trace(self._source, into, offset) < len(into):
            raise WrongContent("truncated")
        return len(into)

    def _append(self, data: bytes, offset: int) -> int:
        with memoryview(data) as rest:
            done = 0
            while done < len(rest):
                done += os.pwrite(self._fd, rest[done:], offset + done)
        self.sums.update(data)
        return offset + done
