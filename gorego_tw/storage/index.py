"""The index: what blobs and action results there are. A lookup takes a microsecond."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice

import lmdb

from gorego_tw.storage.environment import LATEST_USE, Environment
from gorego_tw.storage.index_write import IndexWrite
from gorego_tw.storage.large_results import last_use
from gorego_tw.storage.records import (
    ACTIONS,
    BLOCK_BYTES,
    INLINE,
    BlobRecord,
    Tally,
    unpack_blob,
    unpack_last_used,
)
from gorego_tw.storage.removals import Removals

#: Measuring the pages takes 3 µs, a write 15: after so many writes what was added to them is
#: measured and no longer summed up. Half-empty pages cannot add up to more than a few hundred KiB.
_MEASURE_EVERY = 32

#: How many times of what is freed between two checkpoints the free pages usually are at most: they are no
#: part of what is stored, but of what is left free below the limit. What is beyond that counts, but for no
#: more than a part of the limit, because it is not had back by evicting entries that are in the index.
_USUAL_PARTS = 3
_EXCESS_SHARE = 64


class Index:
    """The entries. Reads see what is committed; writes happen in :meth:`write` alone.

    Every method fails with ``Unavailable`` if LMDB does.

    :ivar removals: what has been taken out or replaced since it was opened.
    """

    def __init__(self, environment: Environment) -> None:
        self.removals = Removals()
        self._environment = environment
        self._begin = environment.begin
        self._blobs = environment.blobs
        self._small = environment.small
        self._actions = environment.actions
        self._meta = environment.meta
        self._page_bytes = 0
        self._excess_bytes = 0
        self._most_excess_bytes = environment.limit_bytes // _EXCESS_SHARE
        self._unmeasured = _MEASURE_EVERY
        self._tallies = environment.tallies()

    def blob(self, key: bytes) -> tuple[BlobRecord, bytes | None] | None:
        """The record of a blob, with its bytes if they are here; None if it is absent.

        :raises DamagedRecord: what is there is no record; :meth:`IndexWrite.drop_blob` takes it out.
        """
        try:
            with self._begin(self._blobs) as txn:
                value = txn.get(key)
                if value is None:
                    return None
                record = unpack_blob(key, value)
                data = txn.get(key, db=self._small) if record.location == INLINE else None
        except lmdb.Error as error:
            raise self._environment.trouble(error) from error
        return record, data

    def blobs(self, keys: Iterable[bytes]) -> list[bytes | None]:
        """The packed record of each blob, in the same order; None for those that are absent."""
        try:
            with self._begin(self._blobs) as txn:
                return list(map(txn.get, keys))
        except lmdb.Error as error:
            raise self._environment.trouble(error) from error

    def action(self, key: bytes) -> bytes | None:
        """The packed action result, or None."""
        try:
            with self._begin(self._actions) as txn:
                return txn.get(key)
        except lmdb.Error as error:
            raise self._environment.trouble(error) from error

    def neighbours(self, start: bytes, count: int) -> list[tuple[bytes, int]]:
        """Up to ``count`` entries of one kind from the key ``start`` on: keys and their last uses.

        They are of the kind that the first byte of ``start`` says, and begin again at its first
        entry after its last.
        """
        try:
            database = self._actions if start[0] == ACTIONS else self._blobs
            # A copy of a large action result would take longer than all else.
            with self._begin(database, buffers=True) as txn:
                found = self._take(txn, start, count)
                if len(found) < count:
                    first = self._take(txn, start[:1], count - len(found))
                    found += [entry for entry in first if entry[0] < start]
        except lmdb.Error as error:
            raise self._environment.trouble(error) from error
        return found

    def following(self, start: bytes, count: int) -> list[bytes]:
        """Up to ``count`` keys from ``start`` on: those of action results, then those of blobs."""
        try:
            with self._begin(self._blobs) as txn:
                found = []
                if start[:1] <= bytes([ACTIONS]):
                    found = _keys(txn.cursor(db=self._actions), start, count)
                if len(found) < count:
                    found += _keys(txn.cursor(), start, count - len(found))
        except lmdb.Error as error:
            raise self._environment.trouble(error) from error
        return found

    def of_prefix(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """All blobs whose keys begin so: keys and packed records. Any thread may."""
        found = []
        try:
            with self._begin(self._blobs) as txn:
                cursor = txn.cursor()
                if cursor.set_range(prefix):
                    for key, value in cursor.iternext():
                        if not key.startswith(prefix):
                            break
                        found.append((key, value))
        except lmdb.Error as error:
            raise self._environment.trouble(error) from error
        return found

    @property
    def tallies(self) -> Mapping[int, Tally]:
        """How many entries there are of each kind: ACTIONS, or the number of a digest function."""
        return self._tallies

    @property
    def latest_use(self) -> int:
        """The latest time of a use that was noted, in seconds since the epoch."""
        return max(
            (unpack_last_used(value) for _, value in self._meta_entries(LATEST_USE)), default=0
        )

    @property
    def page_bytes(self) -> int:
        """What its pages in use take, in bytes; free ones inside of the file are used again."""
        if self._unmeasured >= _MEASURE_EVERY:
            self._page_bytes = used = self._environment.used_bytes
            usual = used + _USUAL_PARTS * self._environment.growth_bytes
            self._excess_bytes = max(0, self._environment.file_bytes - usual)
            self._unmeasured = 0
        return self._page_bytes

    @property
    def file_bytes(self) -> int:
        """What the files of all blobs take of the disk, in bytes."""
        return sum(tally.file_bytes for tally in self._tallies.values())

    @property
    def most_files(self) -> int:
        """How many files the blobs have at most: small ones have none, and each file takes a block."""
        blobs = sum(tally.entries for kind, tally in self._tallies.items() if kind != ACTIONS)
        return min(blobs, self.file_bytes // BLOCK_BYTES)

    def stored_bytes(self) -> int:
        """What all entries take of the disk, in bytes: the files, the pages, and those of the free pages
        that are more than usual.
        """
        return self.file_bytes + self.page_bytes + min(self._excess_bytes, self._most_excess_bytes)

    def write(self) -> IndexWrite:
        """A write transaction, as a context manager: committed at the end, or as if never begun.

        There is one at a time, also among processes.
        """
        return IndexWrite(self._environment, self._changed)

    def _changed(
        self,
        tallies: Mapping[int, Tally],
        added_bytes: int,
        removed: Collection[bytes],
        removed_bytes: int,
    ) -> None:
        self.removals.add(removed)
        self._tallies.update(tallies)
        self._page_bytes += added_bytes
        self._unmeasured += 1 if added_bytes else _MEASURE_EVERY
        self._environment.committed(added_bytes + removed_bytes)

    def _take(
        self, txn: lmdb.Transaction[memoryview], start: bytes, count: int
    ) -> list[tuple[bytes, int]]:
        """Up to ``count`` entries from ``start`` on that have its first byte."""
        found: list[tuple[bytes, int]] = []
        cursor = txn.cursor()
        if cursor.set_range(start):
            for view, value in cursor.iternext():
                if len(found) == count or view[0] != start[0]:
                    break
                key = bytes(view)
                found.append((key, last_use(txn, self._meta, key, value)))
        return found

    def _meta_entries(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        entries = []
        try:
            with self._begin(self._meta) as txn:
                cursor = txn.cursor()
                if cursor.set_range(prefix):
                    for key, value in cursor.iternext():
                        if not key.startswith(prefix):
                            break
                        entries.append((key[len(prefix) :], value))
        except lmdb.Error as error:
            raise self._environment.trouble(error) from error
        return entries


def _keys(cursor: lmdb.Cursor[bytes], start: bytes, count: int) -> list[bytes]:
    """Up to ``count`` keys from ``start`` on."""
    there = cursor.set_range(start) if start else cursor.first()
    return list(islice(cursor.iternext(values=False), count)) if there else []
