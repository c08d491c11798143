"""Last uses of large action results: kept beside them, since to change a byte of a value LMDB writes all of it.

A result of 2 MB would cost 6 ms, and as much of the disk, each minute in which it is used. What is noted beside
it counts if it is later than what the result itself says, so that an index without such notes is whole too.
"""

from __future__ import annotations

from typing import Any

import lmdb

from gorego_tw.storage.records import renewed, unpack_last_used

#: Of so many bytes on, 32 of which are written in a millisecond, a result is large.
LARGE_BYTES = 8192

#: The key of a note in ``meta`` begins so, and ends in the result's own.
USED = b"used:"


def last_use(txn: lmdb.Transaction[memoryview], meta: Any, key: bytes, value: memoryview) -> int:
    """When the entry was used last, in seconds since the epoch.

    :param meta: the database of the notes.
    :param value: of any entry; those of blobs are small.
    """
    used = unpack_last_used(value)
    if len(value) < LARGE_BYTES:
        return used
    noted = txn.get(USED + key, db=meta)
    return used if noted is None else max(used, unpack_last_used(noted))


def note_last_use(txn: lmdb.Transaction[memoryview], meta: Any, key: bytes, used: int) -> None:
    """Note it of a large one."""
    txn.put(USED + key, renewed(b"", used), db=meta)


def forget_last_use(
    txn: lmdb.Transaction[memoryview], meta: Any, key: bytes, size_bytes: int
) -> None:
    """The value that was there, of so many bytes, is gone."""
    if size_bytes >= LARGE_BYTES:
        txn.delete(USED + key, db=meta)
