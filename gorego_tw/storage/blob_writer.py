"""The bytes of one blob on their way in: counted, hashed, and written in a thread."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from gorego_tw.digest import Digest, digest_of
from gorego_tw.errors import DigestMismatch
from gorego_tw.storage.block_sums import BlockSums, Summing
from gorego_tw.storage.closing import close
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.failures import telling
from gorego_tw.storage.reading import read_all

#: How much is collected before it goes to a thread, in bytes. Going there and back takes some
#: 50 µs, hashing so much 350 µs. Each upload under way takes up to so much memory, and one message.
WRITE_CHUNK = 512 * 1024

#: How much of a file is hashed before others have the thread, in bytes: 3 ms.
_HASH_CHUNK = 1024 * 1024


def check_size(digest: Digest, size_bytes: int) -> None:
    """Make sure that a blob has the size it was announced with.

    :raises DigestMismatch: it has not.
    """
    if size_bytes != digest.size_bytes:
        raise DigestMismatch(f"blob {digest}: the data has {size_bytes} bytes")


def check_hash(digest: Digest, hashed: bytes) -> None:
    """Make sure that a blob has the hash it was announced with.

    :raises DigestMismatch: it has not.
    """
    if hashed != digest.key[1:]:
        raise DigestMismatch(f"blob {digest}: the data has the hash {hashed.hex()}")


def verified(digest: Digest, data: bytes) -> bytes:
    """``data``, if it is the blob.

    :raises DigestMismatch: it is not.
    """
    check_size(digest, len(data))
    check_hash(digest, digest_of(data, digest.function).key[1:])
    return data


class BlobWriter:
    """Takes a blob in pieces. One call at a time; ``close`` at the end, whatever happened.

    :param path: the file to be written, or None to verify only. There is no file until there is
        more than WRITE_CHUNK, or until ``finish`` or ``flush``.
    :ivar size_bytes: how many bytes were taken in.
    """

    def __init__(self, digest: Digest, path: str | None, threads: DiskThreads) -> None:
        self.digest = digest
        self.size_bytes = 0
        self._path = path
        self._threads = threads
        self._hasher = Summing(digest.function.hasher())
        self._buffer = bytearray()
        self._written = 0
        self._fd = -1

    @property
    def fd(self) -> int:
        """The open file, for who reads what is written already; -1 if there is none."""
        return self._fd

    @property
    def sums(self) -> BlockSums:
        """The checksums of what was written."""
        return self._hasher.sums

    @property
    def written_bytes(self) -> int:
        """How many bytes are in the file."""
        return self._written

    async def append(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        :raises DigestMismatch: they are more than the digest announces; none of them is taken.
        :raises ResourceExhausted: the disk is full. They are in memory, and are held.
        """
        await self.append_all([data])

    async def append_all(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Take the next pieces, with one way to a thread and back for all of them if they are large.

        :raises DigestMismatch: they are more than the digest announces; none of them is taken.
        :raises ResourceExhausted: the disk is full. They are in memory, and are held.
        """
        size = self.size_bytes + sum(map(len, pieces))
        if size > self.digest.size_bytes:
            raise DigestMismatch(f"blob {self.digest}: the data has {size} bytes or more")
        self.size_bytes = size
        if not self._buffer and min(map(len, pieces)) >= WRITE_CHUNK:
            await self._pass_on(pieces)
            return
        for piece in pieces:
            self._buffer += piece
        if len(self._buffer) >= WRITE_CHUNK:
            await self.flush()

    async def flush(self) -> None:
        """Write what was taken in.

        :raises ResourceExhausted: the disk is full. Nothing that was taken in is lost.
        """
        with telling():
            await self._threads.run(self._drain)

    async def _pass_on(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Write pieces from where they are, with nothing before them in the buffer."""
        start = self._written
        try:
            with telling():
                await self._threads.run(self._put, *pieces)
        finally:
            for piece in pieces:
                if self._written <= start:
                    self._buffer += piece
                start += len(piece)

    async def finish(self, *, to_stable_storage: bool = False) -> None:
        """Write and verify all of it.

        :param to_stable_storage: whether it has to be there afterwards.
        :raises DigestMismatch: it has not the digest.
        :raises ResourceExhausted: the disk is full.
        """
        check_size(self.digest, self.size_bytes)
        await self.flush()
        check_hash(self.digest, self._hasher.digest())
        if to_stable_storage and self._fd >= 0:
            with telling():
                await self._threads.run(os.fsync, self._fd)

    async def resume(self) -> None:
        """Take in what the file holds from an earlier time, unless it is more than the blob."""
        with telling():
            while await self._threads.run(self._take_up):
                pass

    def verified_bytes(self) -> bytes:
        """All of it, of a blob small enough that nothing was flushed.

        :raises DigestMismatch: it has not the digest.
        """
        return verified(self.digest, bytes(self._buffer))

    def check(self) -> None:
        """Verify what was taken in, though not all of it could be written. Nothing may be called after it but ``close``.

        :raises DigestMismatch: it has not the digest.
        """
        self._hasher.update(self._buffer)
        check_hash(self.digest, self._hasher.digest())

    def close(self) -> None:
        """Close the file. What was not flushed is lost."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            close(fd)

    def _drain(self) -> None:  # in a thread
        self._put(self._buffer)
        self._buffer.clear()

    def _put(self, *pieces: bytes | bytearray | memoryview) -> None:  # in a thread
        if self._path is not None and self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        for piece in pieces:
            if self._path is not None:
                self._write(piece)
            self._hasher.update(piece)
            self._written += len(piece)

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        offset, end = self._written, self._written + len(data)
        with memoryview(data) as rest:
            try:
                while offset < end:
                    with rest[offset - self._written :] as piece:
                        offset += os.pwrite(self._fd, piece, offset)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._fd, self._written)
                raise

    def _take_up(self) -> bool:  # in a thread
        """Take in some of the file; whether there is more."""
        assert self._path is not None
        if self._fd < 0:
            try:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        size = os.fstat(self._fd).st_size
        left = size - self._written
        if size > self.digest.size_bytes:
            os.ftruncate(self._fd, self._written)
            return False
        if self.digest.size_bytes <= WRITE_CHUNK:
            self._buffer += os.pread(self._fd, left, 0)
            self.size_bytes = len(self._buffer)
            return False
        memory = memoryview(bytearray(min(left, _HASH_CHUNK)))
        count = read_all(self._fd, memory, self._written)
        self._hasher.update(memory[:count])
        self._written += count
        self.size_bytes = self._written
        return 0 < count < left
