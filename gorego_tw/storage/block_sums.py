"""Checksums of the blocks of a file: what was compared with a hash once is compared with them at every read.

They tell what a disk, a cable or memory has damaged, not what somebody made to look alike: who may write to the
folder is trusted. XXH3 takes a fifteenth of the time of SHA-256, and less than the way through a socket.
"""

from __future__ import annotations

from xxhash import xxh3_64, xxh3_64_digest

from gorego_tw.digest import Hasher

#: How much of a file has a checksum, in bytes, and how long that is. What is read is whole blocks, or the end.
SUMMED_BYTES = 64 * 1024
SUM_BYTES = 8


class BlockSums:
    """The checksums of a file that is taken in from its beginning, in pieces of any size."""

    def __init__(self) -> None:
        self._sums = bytearray()
        self._block = xxh3_64()
        self._in_block = 0

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take the next bytes in."""
        with memoryview(data) as rest:
            done = 0
            while done < len(rest):
                count = min(len(rest) - done, SUMMED_BYTES - self._in_block)
                self._block.update(rest[done : done + count])
                self._in_block += count
                done += count
                if self._in_block == SUMMED_BYTES:
                    self._sums += self._block.digest()
                    self._block.reset()
                    self._in_block = 0

    def digest(self) -> bytes:
        """The checksums of all that was taken in, one after the other."""
        return bytes(self._sums) + (self._block.digest() if self._in_block else b"")

    def are_of(self, data: memoryview, offset: int) -> bool:
        """Whether those whole blocks, which were taken in, are as they were then."""
        return are_of(self._sums, data, offset)


class Summing:
    """A hasher that takes the checksums, too.

    :ivar sums: those of what was taken in.
    """

    def __init__(self, hasher: Hasher) -> None:
        self.sums = BlockSums()
        self._hasher = hasher

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take the next bytes in."""
        self._hasher.update(data)
        self.sums.update(data)

    def digest(self) -> bytes:
        """The hash."""
        return self._hasher.digest()


def are_of(sums: bytes | bytearray, data: memoryview, offset: int) -> bool:
    """Whether what was read from a file at ``offset``, where a block begins, to the end of a block or of the file,
    has the checksums of that file.
    """
    found = b"".join(
        xxh3_64_digest(data[start : start + SUMMED_BYTES])
        for start in range(0, len(data), SUMMED_BYTES)
    )
    return sums.startswith(found, offset // SUMMED_BYTES * SUM_BYTES)
