"""Changes of the index: each transaction whole, with the tallies that go with it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import lmdb

from gorego_tw.digest import Digest
from gorego_tw.storage.environment import LATEST_USE, TALLY, Environment
from gorego_tw.storage.large_results import (
    LARGE_BYTES,
    forget_last_use,
    last_use,
    note_last_use,
)
from gorego_tw.storage.records import (
    ACTIONS,
    INLINE,
    KINDS,
    BlobRecord,
    DamagedRecord,
    Tally,
    disk_bytes,
    pack_blob,
    pack_tally,
    renewed,
    unpack_blob,
    unpack_size,
    unpack_tally,
)

_NONE = Tally(0, 0)


def _unreadable(_key: bytes) -> BlobRecord:
    return BlobRecord(0, INLINE, 0, 0)


class IndexWrite:
    """What can be changed in one transaction.

    :param committed: told of the tallies that are other ones now, how many bytes were put, the keys of entries
        that were taken out or replaced, and how many bytes of action results went with them.
    """

    def __init__(
        self,
        environment: Environment,
        committed: Callable[[Mapping[int, Tally], int, Collection[bytes], int], None],
    ) -> None:
        self._begin = environment.begin
        self._trouble = environment.trouble
        self._blobs = environment.blobs
        self._small = environment.small
        self._actions = environment.actions
        self._meta = environment.meta
        self._committed = committed
        self._changes: dict[int, Tally] = {}
        self._added_bytes = 0
        self._removed: list[bytes] = []
        self._removed_bytes = 0
        self._guessed = False

    def __enter__(self) -> Self:
        try:
            # Values are looked at where they are: copies of large ones take long. Each is let go of
            # before the next change.
            self._txn = self._begin(write=True, buffers=True)
        except lmdb.Error as error:
            raise self._trouble(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            try:
                tallies = self._write_tallies()
                self._txn.commit()
            except BaseException as failure:
                self._txn.abort()
                if isinstance(failure, lmdb.Error):
                    raise self._trouble(failure) from failure
                raise
            self._committed(tallies, self._added_bytes, self._removed, self._removed_bytes)
        else:
            self._txn.abort()
            if isinstance(error, lmdb.Error):
                raise self._trouble(error) from error

    def put_blob(self, key: bytes, record: BlobRecord, data: bytes | None = None) -> None:
        """Keep the record of a blob, and the bytes if they are to be here."""
        old = self._txn.get(key, db=self._blobs)
        if old is not None:
            self._count_blob(key, self._record(key, old, _unreadable), -1)
        self._txn.put(key, pack_blob(key, record), db=self._blobs)
        if data is not None:
            self._txn.put(key, data, db=self._small)
            self._added_bytes += len(data)
        self._count_blob(key, record, 1)

    def drop_blob(
        self, key: bytes, guess: Callable[[bytes], BlobRecord] = _unreadable
    ) -> BlobRecord | None:
        """Take a blob out.

        :param guess: what is taken for the record if that cannot be read.
        :returns: what was known of it; None if it was absent.
        """
        value = self._txn.pop(key, db=self._blobs)
        if value is None:
            return None
        self._removed.append(key)
        record = self._record(key, value, guess)
        self._txn.delete(key, db=self._small)
        self._count_blob(key, record, -1)
        return record

    def put_action(self, key: bytes, value: bytes) -> None:
        """Keep a packed action result, in place of an earlier one."""
        if self._forget_action(key) is None:
            self._count(ACTIONS, 1, 0)
        self._txn.put(key, value, db=self._actions)
        self._added_bytes += len(value)

    def drop_action(self, key: bytes) -> int | None:
        """Take an action result out.

        :returns: its size here, in bytes; None if it was absent.
        """
        size_bytes = self._forget_action(key)
        if size_bytes is not None:
            self._txn.delete(key, db=self._actions)
            self._count(ACTIONS, -1, 0)
        return size_bytes

    def renew(self, key: bytes, last_used: int) -> Digest | None:
        """Note the last use of an entry, if it still exists.

        :returns: the blob, if it is one.
        """
        database = self._actions if key[0] == ACTIONS else self._blobs
        value = self._txn.get(key, db=database)
        if value is None or (recorded := last_use(self._txn, self._meta, key, value)) > last_used:
            return None
        digest = None
        # One that was put in the same second is used all the same.
        if database is self._blobs:
            with suppress(struct.error):  # it is dropped when it is asked for
                digest = Digest(key, unpack_size(value)[0])
        if recorded < last_used:
            if len(value) < LARGE_BYTES:
                self._txn.put(key, renewed(value, last_used), db=database)
            else:
                note_last_use(self._txn, self._meta, key, last_used)
        return digest

    def note_latest_use(self, last_used: int) -> None:
        """Note the time, than which no use is later."""
        self._txn.put(LATEST_USE, renewed(b"", last_used), db=self._meta)

    def _forget_action(self, key: bytes) -> int | None:
        """Let go of what goes with an action result that is replaced or taken out; its size, in bytes."""
        value = self._txn.get(key, db=self._actions)
        if value is None:
            return None
        size_bytes = len(value)
        self._removed.append(key)
        self._removed_bytes += size_bytes
        forget_last_use(self._txn, self._meta, key, size_bytes)
        return size_bytes

    def _record(
        self, key: bytes, value: bytes | memoryview, guess: Callable[[bytes], BlobRecord]
    ) -> BlobRecord:
        try:
            return unpack_blob(key, value)
        except DamagedRecord:
            self._guessed = True
            return guess(key)

    def _count_blob(self, key: bytes, record: BlobRecord, sign: int) -> None:
        file_bytes = disk_bytes(record.stored_bytes) if record.is_file else 0
        self._count(key[0], sign, sign * file_bytes)

    def _count(self, kind: int, entries: int, file_bytes: int) -> None:
        if kind not in KINDS:  # a damaged key
            return
        self._changes[kind] = self._changes.get(kind, _NONE).plus(Tally(entries, file_bytes))

    def _write_tallies(self) -> dict[int, Tally]:
        tallies = {}
        for kind, change in self._changes.items():
            key = TALLY + bytes([kind])
            value = self._txn.get(key, db=self._meta)
            try:
                before = _NONE if value is None else unpack_tally(bytes(value))
                after = before.plus(change)
                if self._guessed:
                    # A guess may be more than was counted, which is no damage of what was.
                    after = after._replace(file_bytes=max(0, after.file_bytes))
                packed = pack_tally(after)
                tallies[kind] = unpack_tally(packed)
            except DamagedRecord as error:
                # What it has to be can be found out from the files and the entries alone.
                raise lmdb.CorruptedError(str(error)) from error
            self._txn.put(key, packed, db=self._meta)
        return tallies
