"""What is in the file of a blob, compared with the digest while it is read."""

from __future__ import annotations

import os

from gorego_tw.digest import Digest, Hasher
from gorego_tw.errors import DigestMismatch
from gorego_tw.storage.blob_writer import check_hash
from gorego_tw.storage.block_sums import Summing
from gorego_tw.storage.reading import read_all

#: How much of a blob is read at once for nobody who reads it now, in bytes; and so many times before others have the
#: thread, whoever it is read for: 3 ms.
_PIECE_BYTES = 256 * 1024
_TURN_PIECES = 4

#: Of what is compressed so much less is read as it is shorter, but as much as this, in bytes, which frames of zeros
#: expand to 36 MiB.
_LEAST_PIECE_BYTES = 4096


class Content:
    """What is in a file, from its beginning on; one call at a time, in any thread.

    :param size_bytes: how much of the file is to be taken in.
    :param hasher: makes the hash of the blob of that.
    :ivar taken_bytes: how much was taken in, in bytes.
    """

    def __init__(self, fd: int, digest: Digest, size_bytes: int, hasher: Hasher) -> None:
        self.size_bytes = size_bytes
        self.taken_bytes = 0
        self._fd = fd
        self._digest = digest
        self._hasher = Summing(hasher)
        as_short = _PIECE_BYTES * size_bytes // digest.size_bytes
        self._piece_bytes = min(_PIECE_BYTES, max(_LEAST_PIECE_BYTES, as_short))

    @property
    def is_whole(self) -> bool:
        """Whether all was taken in."""
        return self.taken_bytes == self.size_bytes

    def take(self, into: memoryview) -> int:
        """Read what comes next, and take it in.

        :returns: how many bytes those are, 0 if there are none any more.
        :raises DigestMismatch: they are the last ones, and the file is not the blob.
        """
        left = self.size_bytes - self.taken_bytes
        piece = into[: min(left, _TURN_PIECES * self._piece_bytes)]
        count = os.preadv(self._fd, (piece,), self.taken_bytes)
        self._take_in(into[:count])
        if count and self.is_whole:
            self._check()
        return count

    def take_some(self) -> int:
        """Read some of what comes next, and take it in.

        :returns: how many bytes those are.
        :raises DigestMismatch: the file is not the blob.
        """
        before = self.taken_bytes
        memory = memoryview(bytearray(min(self._piece_bytes, self.size_bytes)))
        for _ in range(_TURN_PIECES):
            if self.is_whole:
                break
            count = read_all(
                self._fd, memory[: self.size_bytes - self.taken_bytes], self.taken_bytes
            )
            if not count:
                raise DigestMismatch(f"blob {self._digest}: its file has {self.taken_bytes} bytes")
            self._take_in(memory[:count])
        if self.is_whole:
            self._check()
        return self.taken_bytes - before

    def sums(self, rest: bytes | bytearray = b"") -> bytes:
        """The checksums of the file, when all was taken in.

        :param rest: what is behind that in the file.
        """
        self._hasher.sums.update(rest)
        return self._hasher.sums.digest()

    def _take_in(self, data: memoryview) -> None:
        self._hasher.update(data)
        self.taken_bytes += len(data)

    def _check(self) -> None:
        check_hash(self._digest, self._hasher.digest())
