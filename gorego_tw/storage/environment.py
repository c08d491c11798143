"""The LMDB environment of the index: its databases, and what its errors mean."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import lmdb

from gorego_tw.errors import StatusError, Unavailable
from gorego_tw.storage.failures import FULL, no_room, status_of
from gorego_tw.storage.free_pages import FreePages
from gorego_tw.storage.holes import taken_bytes
from gorego_tw.storage.index_damage import IndexDamage
from gorego_tw.storage.lmdb_pages import HEAD_BYTES
from gorego_tw.storage.records import KINDS, DamagedRecord, Tally, unpack_tally
from gorego_tw.storage.shortage import shortage

#: Databases of the environment: blobs, small, actions, meta, pending.
_DATABASES = 5

#: The least and the most address space for the map, in bytes. The file is as long as what is in it; a process
#: has 128 TiB in all (x86-64).
_LEAST_MAP_BYTES = 16 << 30
_MOST_MAP_BYTES = 16 << 40

#: The keys of ``meta``, beside those of large action results: one for each kind of entry; how far passes over
#: all entries have come.
TALLY = b"tally:"
PASS = b"pass:"
#: The time of the latest use that was written down.
LATEST_USE = b"latest use"

#: The least that LMDB wants of its lock file, and some more, in bytes.
_LOCK_FILE_BYTES = 16 << 10

#: Errors that say nothing of the file: they may be over at the next start.
_PASSING = (lmdb.MemoryError, lmdb.LockError, lmdb.ReadonlyError, lmdb.DiskError)

#: How much is freed in the file until that may be used again, if the disk can follow, in bytes: 1/64 of
#: the limit.
_GROWTH_SHARE = 64
MOST_GROWTH_BYTES = 128 << 20
LEAST_GROWTH_BYTES = 4 << 20

#: What LMDB says when the disk or the quota is full, or no longer file is allowed.
_FULL = tuple(os.strerror(code) for code in FULL)
#: What it says when there was room for a part of what it wrote; and when the disk fails.
_CUT_SHORT = os.strerror(errno.EIO)


def growth_bytes(limit_bytes: int) -> int:
    """How much may be freed in the file between two checkpoints, by the limit of the cache, in bytes."""
    return max(LEAST_GROWTH_BYTES, min(MOST_GROWTH_BYTES, limit_bytes // _GROWTH_SHARE))


class IndexDamaged(Exception):
    """The file is there and is no index of ours."""


class Environment:
    """The open environment.

    :param path: its folder.
    :param limit_bytes: of the cache; the index never grows beyond twice this, in bytes.
    :ivar file: where it is.
    :ivar page_bytes: the size of its pages, in bytes.
    :ivar free_pages: of the file.
    :ivar growth_bytes: how much may be freed in it between two checkpoints, in bytes.
    :ivar begin: makes a transaction.
    :ivar blobs: the record of each blob.
    :ivar small: the bytes of the small ones.
    :ivar actions: action results.
    :ivar meta: tallies, and notes of where passes are.
    :ivar pending: what has still to be uploaded.
    :ivar checkpoints: how many were begun; whoever begins one counts it.
    :ivar damage: what is met in it.
    :ivar committed: told after each change of the entries how many bytes came and went.
    :raises IndexDamaged: LMDB refuses the file.
    :raises StatusError: the disk fails, or is full.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self.file = path / "data.mdb"
        self.limit_bytes = limit_bytes
        self.growth_bytes = growth_bytes(limit_bytes)
        self.checkpoints = 0
        self.damage = IndexDamage(path, self._is_readable)
        self.committed: Callable[[int], object] = bool
        _make_lock_file(path / "lock.mdb")
        try:
            # Without sync a commit waits for no disk; checkpoints do. Without readahead a lookup
            # in an index larger than memory reads one page, not thirty-two.
            self._environment = lmdb.open(
                str(path),
                map_size=min(max(2 * limit_bytes, _LEAST_MAP_BYTES), _MOST_MAP_BYTES),
                max_dbs=_DATABASES,
                sync=False,
                metasync=False,
                readahead=False,
                max_spare_txns=4,
                mode=0o644,
            )
        except lmdb.Error as error:
            raise _refusal(error) from error
        try:
            self._environment.reader_check()
            self.blobs = self._environment.open_db(b"blobs")
            self.small = self._environment.open_db(b"small")
            self.actions = self._environment.open_db(b"actions")
            self.meta = self._environment.open_db(b"meta")
            self.pending = self._environment.open_db(b"pending")
        except lmdb.Error as error:
            self._environment.close()
            raise _refusal(error) from error
        self.begin = self._environment.begin
        try:
            self.tallies()
        except (DamagedRecord, StatusError) as error:
            self._environment.close()
            if _may_pass(error.__cause__):
                raise
            raise IndexDamaged(str(error)) from error
        self.page_bytes = self._environment.stat()["psize"]
        self.free_pages = FreePages(self.file, self.page_bytes)
        self._measured = (self.blobs, self.small, self.actions, self.pending)

    def tallies(self) -> dict[int, Tally]:
        """How many entries there are of each kind, as it is written down.

        :raises DamagedRecord: it is not as it was written.
        :raises StatusError: LMDB fails.
        """
        try:
            with self.begin(self.meta) as txn:
                found = {kind: txn.get(TALLY + bytes([kind])) for kind in KINDS}
        except lmdb.Error as error:
            raise self.trouble(error) from error
        return {kind: unpack_tally(value) for kind, value in found.items() if value is not None}

    @property
    def used_bytes(self) -> int:
        """What its pages in use take, in bytes; free ones inside of the file are used again.

        :raises StatusError: LMDB fails.
        """
        try:
            with self.begin() as txn:
                stats = [txn.stat(db) for db in self._measured]
        except lmdb.Error as error:
            raise self.trouble(error) from error
        pages = sum(s["branch_pages"] + s["leaf_pages"] + s["overflow_pages"] for s in stats)
        return pages * self.page_bytes

    @property
    def pending_entries(self) -> int:
        """How many entries wait to be uploaded.

        :raises StatusError: LMDB fails.
        """
        try:
            with self.begin() as txn:
                return txn.stat(self.pending)["entries"]
        except lmdb.Error as error:
            raise self.trouble(error) from error

    @property
    def file_bytes(self) -> int:
        """What the file takes of the disk, in bytes.

        :raises StatusError: the disk fails.
        """
        try:
            return taken_bytes(self.file)
        except FileNotFoundError as error:
            self.damage.note(f"{self.file} was removed, or the folder moved or unmounted")
            raise status_of(error) from error
        except OSError as error:
            raise status_of(error) from error

    @property
    def readers(self) -> list[int]:
        """The commits that readers look at, of all processes."""
        words = [line.split() for line in self._environment.readers().splitlines()]
        return [int(line[2]) for line in words if len(line) == 3 and line[2].isdecimal()]

    @property
    def last_transaction(self) -> int:
        """The number of the last commit."""
        return self._environment.info()["last_txnid"]

    def head(self) -> bytes:
        """The first pages of the file.

        :raises OSError: they cannot be read.
        """
        with self.file.open("rb") as file:
            return file.read(HEAD_BYTES)

    def position(self, name: bytes) -> bytes | None:
        """What a pass over all entries has noted of where it is."""
        try:
            with self.begin(self.meta) as txn:
                return txn.get(PASS + name)
        except lmdb.Error as error:
            raise self.trouble(error) from error

    def note_position(self, name: bytes, position: bytes | None) -> None:
        """Keep such a note, or None for none."""
        try:
            with self.begin(self.meta, write=True) as txn:
                if position is None:
                    txn.delete(PASS + name)
                else:
                    txn.put(PASS + name, position)
        except lmdb.Error as error:
            raise self.trouble(error) from error

    def probe(self) -> None:
        """Read a little of each database.

        :raises StatusError: LMDB fails.
        """
        try:
            self._read_a_little()
        except lmdb.Error as error:
            raise self.trouble(error) from error

    def sync(self) -> None:
        """Bring everything committed to stable storage. It takes long; any thread may.

        :raises Unavailable: it cannot be.
        """
        try:
            self._environment.sync(force=True)
        except lmdb.Error as error:
            raise self.trouble(error) from error

    def trouble(self, error: lmdb.Error) -> StatusError:
        """The failure a client is told. Damage is noted."""
        self.damage.look_at(error)
        return trouble(error, self.file)

    def _is_readable(self) -> bool:
        try:
            self._read_a_little()
        except lmdb.Error:
            return False
        return True

    def _read_a_little(self) -> None:
        with self.begin() as txn:
            for database in (self.meta, *self._measured):
                txn.get(b"?", db=database)

    def close(self) -> None:
        """Let go of the file. Nothing else may be called after this."""
        self.free_pages.close()
        self._environment.close()


def trouble(error: lmdb.Error, file: Path | None = None) -> StatusError:
    """The failure a client is told.

    :param file: of the index; a write that was cut short is told from a disk that fails by writing beside it.
    """
    if isinstance(error, lmdb.MapFullError):
        return no_room("local tier: the index is full")
    if str(error).endswith(_FULL):
        return no_room(f"local tier: index: {error}")
    if file and str(error).endswith(_CUT_SHORT) and (lacking := shortage(file)):
        return no_room(f"local tier: index: {lacking}")
    return Unavailable(f"local tier: index: {error}")


def _make_lock_file(path: Path) -> None:
    """LMDB makes it without a block of the disk, and writes to it where it is mapped: on a full one that is SIGBUS.

    :raises OSError: there is no room for it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(fd, 0, _LOCK_FILE_BYTES)
    finally:
        os.close(fd)


def _refusal(error: lmdb.Error) -> Exception:
    """Why an environment cannot be opened: because of the file, or of something that passes."""
    return trouble(error) if _may_pass(error) else IndexDamaged(str(error))


def _may_pass(error: BaseException | None) -> bool:
    """Whether it says nothing of the file: of LMDB's own errors each has a class, of the system's only some."""
    return isinstance(error, _PASSING) or type(error) is lmdb.Error
