"""The file of a blob in whatever form it has: as it is, or compressed."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import TypeAlias

from gorego_tw.digest import Digest
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage.block_sums import BlockSums
from gorego_tw.storage.checked_body import CheckedBody
from gorego_tw.storage.checked_frames import CheckedFrames
from gorego_tw.storage.compressed_body import CompressedBody
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.reading import read_all
from gorego_tw.storage.records import COMPRESSED, FILE, BlobRecord
from gorego_tw.storage.verified_files import VerifiedFiles, version_of
from gorego_tw.zstd.seekable import (
    FOOT_BYTES,
    LONGEST_FRAME_BYTES,
    DamagedFrames,
    FrameDecompressor,
    FrameTable,
    length_by_foot,
    size_by_table,
    table_bytes,
)

#: How much of a plain file is taken in at once, in bytes.
_PLAIN_BYTES = 256 * 1024

#: So many pieces of a file, each of which is as much of the blob or a frame, are taken in before others have the
#: thread: 10 ms.
_TURN_PIECES = 16

#: The record of a file that is found to be the blob, and the file's checksums.
Found: TypeAlias = tuple[BlobRecord, bytes]


class DamagedFile(Exception):
    """A file that is not the blob, in any form."""


class ContentHash:
    """The hash of the blob in an open file, taken piece by piece, in whatever form the blob is there.

    The length decides which form that is: a crash may leave the one where the index has the other, and
    what is compressed is shorter than the blob. One call at a time, in any thread.

    :param read: fills memory from an offset on; how much it has read.
    :ivar file_bytes: how long the file is.
    :raises OSError: by every method, if the file cannot be read.
    """

    def __init__(
        self, fd: int, digest: Digest, read: Callable[[int, memoryview, int], int] = read_all
    ) -> None:
        self.file_bytes = os.fstat(fd).st_size
        self.is_compressed = self.file_bytes != digest.size_bytes
        self._fd = fd
        self._digest = digest
        self._read = read
        self._hasher = digest.function.hasher()
        self._sums = BlockSums()
        self._memory = memoryview(bytearray(LONGEST_FRAME_BYTES))
        self._pieces = self._frames() if self.is_compressed else self._plain()

    def take(self) -> int:
        """Take in the next piece.

        :returns: how long it is in the file, in bytes; 0 at the end.
        :raises DamagedFile: it is not of the blob.
        """
        return next(self._pieces, 0)

    def check(self) -> None:
        """Compare the hash, when all was taken in.

        :raises DamagedFile: the file is not the blob.
        """
        if self._hasher.digest() != self._digest.key[1:]:
            raise DamagedFile("wrong hash")

    def sums(self) -> bytes:
        """The checksums of the file, when all was taken in."""
        return self._sums.digest()

    def _plain(self) -> Iterator[int]:
        offset = 0
        while count := self._read(self._fd, self._memory[:_PLAIN_BYTES], offset):
            self._hasher.update(self._memory[:count])
            self._sums.update(self._memory[:count])
            offset += count
            yield count

    def _frames(self) -> Iterator[int]:
        try:
            packed = self._table()
            table = FrameTable(packed, self._digest.size_bytes, self.file_bytes)
            decompressor = FrameDecompressor()
            for start, end, _, size_bytes in table.frames():
                frame = self._frame(start, end)
                self._hasher.update(decompressor.expand(frame, size_bytes))
                self._sums.update(frame)
                yield end - start
            self._sums.update(packed)
        except DamagedFrames as error:
            raise DamagedFile(f"wrong size, and {error}") from None

    def _table(self) -> bytes:
        length = table_bytes(self._digest.size_bytes)
        if not length < self.file_bytes < self._digest.size_bytes:
            raise DamagedFile("wrong size")
        return os.pread(self._fd, length, self.file_bytes - length)

    def _frame(self, start: int, end: int) -> bytes:
        frame = self._memory[: end - start]
        if self._read(self._fd, frame, start) != end - start:
            raise DamagedFrames("truncated")
        return bytes(frame)


def body_of(
    fd: int,
    record: BlobRecord,
    *,
    digest: Digest,
    threads: DiskThreads,
    damaged: Callable[[str], object],
    may_pass: Callable[[OSError], bool],
    verified: VerifiedFiles,
) -> IBlobBody:
    """The blob in an open file, which the body closes.

    :param damaged: told what is wrong when the file turns out not to be the blob.
    :param may_pass: asked of what the disk says when it cannot read the file; if so that is no damage yet.
    :param verified: the files that were found right.
    """
    version = version_of(digest.key, record)
    if record.location == COMPRESSED:
        frames = CheckedFrames(
            fd,
            digest,
            record.stored_bytes,
            version=version,
            threads=threads,
            damaged=damaged,
            may_pass=may_pass,
            verified=verified,
        )
        return CompressedBody(frames, record.size_bytes, threads, damaged)
    return CheckedBody(
        fd,
        digest,
        version=version,
        threads=threads,
        damaged=damaged,
        may_pass=may_pass,
        verified=verified,
    )


class Verification:
    """Finds out what the record of an open file is, if that is the blob. One call at a time, in any thread.

    Where the size was only guessed, it may turn out to be another one: the stamp of such a record is 0.

    :raises DamagedFile: by the method, it is not the blob.
    :raises OSError: it cannot be read.
    """

    def __init__(self, fd: int, digest: Digest, record: BlobRecord) -> None:
        self._pieces = _verified(fd, digest, record)

    def go_on(self) -> Found | None:
        """Take some of it in.

        :returns: what was found; None if that was not all yet.
        """
        try:
            for _ in range(_TURN_PIECES):
                next(self._pieces)
        except StopIteration as end:
            found: Found = end.value
            return found
        return None


def verified_record(fd: int, digest: Digest, record: BlobRecord) -> Found:
    """The same at once. It takes long; any thread may.

    :raises DamagedFile: it is not the blob.
    :raises OSError: it cannot be read.
    """
    verification = Verification(fd, digest, record)
    while (found := verification.go_on()) is None:
        pass
    return found


def _verified(fd: int, digest: Digest, record: BlobRecord) -> Generator[None, None, Found]:
    try:
        return (yield from _as_sized(fd, digest, record))
    except DamagedFile:
        if not record.stamp:
            length = os.fstat(fd).st_size
            for size_bytes in {apparent_size(fd, length), length} - {digest.size_bytes}:
                with suppress(DamagedFile):
                    return (
                        yield from _as_sized(fd, digest._replace(size_bytes=size_bytes), record)
                    )
        raise


def _as_sized(fd: int, digest: Digest, record: BlobRecord) -> Generator[None, None, Found]:
    stamp = os.fstat(fd).st_ctime_ns
    content = ContentHash(fd, digest)
    while content.take():
        yield
    content.check()
    right = record._replace(
        location=COMPRESSED if content.is_compressed else FILE,
        size_bytes=digest.size_bytes,
        stamp=stamp,
        compressed_bytes=content.file_bytes if content.is_compressed else 0,
    )
    return right, content.sums()


def verified_file(path: str, digest: Digest, record: BlobRecord) -> BlobRecord:
    """The record alone, of a file that is not open."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return verified_record(fd, digest, record)[0]
    finally:
        os.close(fd)


def recognized_record(fd: int, key: bytes, last_used: int) -> BlobRecord:
    """The record of an open file in the place of a blob of which nothing else is known. It takes long;
    any thread may.

    :raises DamagedFile: it is not the blob, in any form.
    :raises OSError: it cannot be read.
    """
    size_bytes = apparent_size(fd, os.fstat(fd).st_size)
    guess = BlobRecord(last_used, FILE, size_bytes, 0)
    return verified_record(fd, Digest(key, size_bytes), guess)[0]


def apparent_size(fd: int, file_bytes: int) -> int:
    """The size of the blob that a file seems to be the frames of; that of the file if of none.

    It seems so if that would be what we make of the blob. The blob may still be the file as it is.
    """
    foot = os.pread(fd, FOOT_BYTES, max(0, file_bytes - FOOT_BYTES))
    length = length_by_foot(foot)
    if length is None or length >= file_bytes:
        return file_bytes
    table = os.pread(fd, length, file_bytes - length)
    size_bytes = size_by_table(table)
    try:
        FrameTable(table, size_bytes, file_bytes)
    except DamagedFrames:
        return file_bytes
    return max(size_bytes, file_bytes)
