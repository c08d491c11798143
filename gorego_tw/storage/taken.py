"""What an entry takes of the disk, as the tier counts it."""

from __future__ import annotations

from collections.abc import Callable

from gorego_tw.errors import StatusError
from gorego_tw.storage.index import Index
from gorego_tw.storage.records import (
    ACTIONS,
    BLOCK_BYTES,
    INLINE_LIMIT,
    DamagedRecord,
    disk_bytes,
)

#: What the record of a blob takes of the index, in bytes: key, record and their headers, in pages that
#: are two thirds full.
RECORD_BYTES = 110

#: LMDB gives a value whole pages if two of its size do not share one.
_SHARED_BYTES = 2000


def blob_bytes(size_bytes: int) -> int:
    """What a blob of that size takes, in bytes, if it is not compressed."""
    return _with_record(size_bytes, is_file=size_bytes > INLINE_LIMIT)


def taken_bytes(index: Index) -> Callable[[bytes], int | None]:
    """Tells of an entry by its key what it takes, in bytes; None of one that is not there."""

    def taken(key: bytes) -> int | None:
        try:
            return _of_action(index, key) if key[0] == ACTIONS else _of_blob(index, key)
        except (DamagedRecord, StatusError):
            return None

    return taken


def _of_action(index: Index, key: bytes) -> int | None:
    value = index.action(key)
    return None if value is None else _in_index(len(value))


def _of_blob(index: Index, key: bytes) -> int | None:
    found = index.blob(key)
    if found is None:
        return None
    record = found[0]
    return _with_record(record.stored_bytes, is_file=record.is_file)


def _with_record(size_bytes: int, *, is_file: bool) -> int:
    return RECORD_BYTES + (disk_bytes(size_bytes) if is_file else _in_index(size_bytes))


def _in_index(size_bytes: int) -> int:
    if size_bytes > _SHARED_BYTES:
        return disk_bytes(size_bytes + BLOCK_BYTES // 256)
    return size_bytes + size_bytes // 2 + RECORD_BYTES
