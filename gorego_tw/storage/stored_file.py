"""The file of a blob in whatever form it has: as it is, or compressed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from gorego_tw.digest import Digest
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage.blob_writer import hash_file
from gorego_tw.storage.compressed_body import CompressedBody
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.file_body import FileBody
from gorego_tw.storage.records import COMPRESSED, FILE, BlobRecord
from gorego_tw.zstd.seekable import (
    FOOT_BYTES,
    DamagedFrames,
    FrameDecompressor,
    FrameTable,
    length_by_foot,
    size_by_table,
    table_bytes,
)


class DamagedFile(Exception):
    """A file that is not the blob, in any form."""


def body_of(
    fd: int, record: BlobRecord, threads: DiskThreads, damaged: Callable[[str], object]
) -> IBlobBody:
    """The blob in an open file, which the body closes.

    :param damaged: told what is wrong when the file turns out not to be the blob.
    """
    file = FileBody(fd, record.stored_bytes, threads, damaged)
    if record.location == COMPRESSED:
        return CompressedBody(file, record.size_bytes, threads, damaged)
    return file


def verified_record(fd: int, digest: Digest, record: BlobRecord) -> BlobRecord:
    """The record of an open file that is found to be the blob. It takes long; any thread may.

    The length decides which form it is taken to have: a crash may leave the one where the record
    has the other, and what is compressed is shorter than the blob.

    :raises DamagedFile: it is not the blob.
    :raises OSError: it cannot be read.
    """
    found = os.fstat(fd)
    if found.st_size == digest.size_bytes:
        location, compressed_bytes, hashed = FILE, 0, hash_file(fd, digest.function)
    else:
        location = COMPRESSED
        compressed_bytes, hashed = found.st_size, _hash_frames(fd, digest, found.st_size)
    if hashed != digest.key[1:]:
        raise DamagedFile("wrong hash")
    return record._replace(
        location=location, stamp=found.st_ctime_ns, compressed_bytes=compressed_bytes
    )


def recognized_record(fd: int, key: bytes, last_used: int) -> BlobRecord:
    """The record of an open file in the place of a blob of which nothing else is known. It takes long;
    any thread may.

    :raises DamagedFile: it is not the blob, in any form.
    :raises OSError: it cannot be read.
    """
    length = os.fstat(fd).st_size
    for size_bytes in (apparent_size(fd, length), length):
        with suppress(DamagedFile):
            record = BlobRecord(last_used, FILE, size_bytes, 0)
            return verified_record(fd, Digest(key, size_bytes), record)
    raise DamagedFile("wrong hash")


def apparent_size(fd: int, file_bytes: int) -> int:
    """The size of the blob that a file seems to be the frames of; that of the file if of none."""
    foot = os.pread(fd, FOOT_BYTES, max(0, file_bytes - FOOT_BYTES))
    length = length_by_foot(foot)
    if length is None or length >= file_bytes:
        return file_bytes
    return size_by_table(os.pread(fd, length, file_bytes - length))


def _hash_frames(fd: int, digest: Digest, file_bytes: int) -> bytes:
    length = table_bytes(digest.size_bytes)
    hasher = digest.function.hasher()
    decompressor = FrameDecompressor()
    try:
        if not length < file_bytes < digest.size_bytes:
            raise DamagedFile("wrong size")
        packed = os.pread(fd, length, file_bytes - length)
        for start, end, _, size_bytes in FrameTable(packed, digest.size_bytes, file_bytes).frames():
            hasher.update(decompressor.expand(os.pread(fd, end - start, start), size_bytes))
    except DamagedFrames as error:
        raise DamagedFile(f"wrong size, and {error}") from None
    return hasher.digest()
