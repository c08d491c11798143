"""What the local tier has: the index and the files together, always in step.

The index's write transaction also orders the folder: whoever moves a file in or out does so
inside of one. A crash between the two leaves a note of which file it was or a file in the trash,
by which the next start finds what is out of step, without looking at anything else.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from math import inf
from typing import NamedTuple

from txaio.tx import make_logger

from gorego_tw.digest import Digest, digest_of
from gorego_tw.errors import StatusError
from gorego_tw.storage.doubt import Doubt
from gorego_tw.storage.failures import telling
from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.index import Index
from gorego_tw.storage.index_write import IndexWrite
from gorego_tw.storage.last_use import MOST_AT_ONCE, LastUse
from gorego_tw.storage.records import (
    ACTIONS,
    COMPRESSED,
    FILE,
    INLINE,
    BlobRecord,
    DamagedRecord,
    disk_bytes,
    entry_name,
    may_be_of,
    unpack_size,
)
from gorego_tw.storage.space import Space
from gorego_tw.storage.verified_files import VerifiedFiles, version_of


class _Moved(NamedTuple):
    """A file in the trash, or still in its place if it has no name there, whose entry may yet stay."""

    key: bytes
    name: str | None
    size_bytes: int


class Inventory:
    """The entries, each whole: a record, and its bytes in the index or in a file.

    :param space: told of what goes into the trash.
    :param verified: told of the checksums of files that are kept.
    :ivar damaged: how many entries were found damaged.
    :ivar doubt: what is not known of the files at the moment; None if they are as the index says.
    :ivar is_unreadable: whether the disk could not read the file of a blob, and may not be able to.
    :ivar filed: told of each blob that has become a file.
    :ivar placing: told of the key of each new file while others may be there that are not known.
    """

    _log = make_logger()

    def __init__(
        self,
        index: Index,
        files: BlobFiles,
        last_use: LastUse,
        space: Space,
        verified: VerifiedFiles,
    ) -> None:
        self._index = index
        self._files = files
        self._last_use = last_use
        self._space = space
        self._verified = verified
        self.damaged = 0
        self.doubt: Doubt | None = None
        self.filed: Callable[[Digest], object] = bool
        self.placing: Callable[[bytes], object] = bool
        self.is_unreadable: Callable[[Digest], bool] = lambda _: False

    def find(self, digest: Digest) -> tuple[BlobRecord, bytes | None] | None:
        """The record of a blob, with its bytes if they are in the index; None if it is absent."""
        try:
            found = self._index.blob(digest.key)
        except DamagedRecord:
            self.drop(digest.key, "unreadable record")
            return None
        if self.doubt is not None and self.drop_lost(self.doubted([digest.key])):
            return None
        if found is None or (record := found[0].of_size(digest.size_bytes)) is None:
            return None
        return record, found[1]

    def holds(self, digest: Digest) -> bool:
        """Whether a blob need not be kept that is sent again: what is here is as it was found right.

        A file is not read for that. If somebody has touched it, what was sent takes its place.
        """
        found = self.find(digest)
        if found is None:
            return False
        record, data = found
        if record.is_file:
            untouched = self._files.is_as_recorded(digest.key, record)
            return untouched and not self.is_doubted(record) and not self.is_unreadable(digest)
        return data is not None and digest_of(data, digest.function) == digest

    def is_replaced(self, digest: Digest) -> bool:
        """Whether a file that is kept now takes the place of another one, which may be on stable storage and
        good, so that it has to be there first itself.
        """
        record = self.record(digest.key)
        if record is None:
            return self._may_be_known_later(digest.key)
        return record.is_file and not self.holds(digest)

    def missing(self, digests: Collection[Digest]) -> list[Digest]:
        """Those that are absent by the index, in that order, each once; the others are used now."""
        keys = [key for key, _ in digests]
        present: list[bytes] = []
        missing: list[Digest] = []
        for digest, value in zip(digests, self._index.blobs(keys), strict=True):
            key, size_bytes = digest
            try:
                is_here = value is not None and unpack_size(value)[0] == size_bytes
            except struct.error:  # a damaged record: it goes when the blob is asked for, or comes
                is_here = False
            if is_here or may_be_of(key, value, size_bytes):
                present.append(key)
            else:
                missing.append(digest)
        self._touch(present)
        # Most of the time there are none, so only here digests are compared with each other.
        return list(dict.fromkeys(missing)) if missing else missing

    def add_inline(self, digest: Digest, data: bytes) -> None:
        """Keep a small blob that was verified.

        :raises ResourceExhausted: no room.
        """
        record = BlobRecord(self._last_use.written(digest.key, len(data)), INLINE, len(data), 0)
        with self._index.write() as txn:
            txn.put_blob(digest.key, record, data)

    def add_file(self, digest: Digest, temporary: str, sums: bytes) -> None:
        """Keep the verified blob in that file, which is moved; or deleted, if that is not needed.

        :param sums: its checksums.
        :raises ResourceExhausted: no room in the index.
        """
        if self.holds(digest):
            self._files.delete(temporary)
            return
        with telling():
            self._files.placing.note(digest.key)
            stays = self.record(digest.key) is not None
            if self.doubt is not None and not stays:
                self.placing(digest.key)
                stays = self._may_be_known_later(digest.key)
            record = self._place(digest, temporary, stays=stays)
        self._verified.put(version_of(digest.key, record), sums)
        self.filed(digest)

    def replace_file(
        self, digest: Digest, record: BlobRecord, temporary: str, length: int, sums: bytes
    ) -> bool:
        """Move a compressed file of that length, and with those checksums, in the place of the one that
        ``record`` is of.

        A crash meanwhile leaves a file that is not as the index says, which is found when it is
        opened, and put right when it was verified.

        :returns: whether the blob is still that one.
        :raises ResourceExhausted: no room in the index.
        """
        found = self.find(digest)
        if found is None or found[0].stamp != record.stamp:
            return False
        with telling(), self._index.write() as txn:
            stamp = self._files.place(temporary, digest.key)
            made = found[0]._replace(location=COMPRESSED, stamp=stamp, compressed_bytes=length)
            txn.put_blob(digest.key, made)
        self._verified.put(version_of(digest.key, made), sums)
        return True

    def restamp(self, key: bytes, record: BlobRecord) -> None:
        """The file of a blob was touched, and was found right as this record has it."""
        with self._index.write() as txn:
            txn.put_blob(key, record)

    def drop(self, key: bytes, damage: str) -> bool:
        """Take out an entry that is damaged. What fails meanwhile is left for the next time.

        :returns: whether it is out.
        """
        self.damaged += 1
        self._log.warn("dropped {entry}: {damage}", entry=entry_name(key), damage=damage)
        with suppress(StatusError):
            self.evict([key])
            return True
        return False

    def leave(self, key: bytes, damage: str) -> None:
        """Count and tell an entry that is damaged, and was found by who has not to drop it."""
        self.damaged += 1
        self._log.warn("left {entry} as it is: {damage}", entry=entry_name(key), damage=damage)

    def evict(self, keys: Iterable[bytes], enough_bytes: float = inf) -> int:
        """Take entries out, and their files away.

        :param enough_bytes: how much of the disk is to be freed; no more keys are taken then.
        :returns: how much of the disk they took, in bytes.
        """
        freed = 0
        moved: list[_Moved] = []
        try:
            with self._index.write() as txn:
                for key in keys:
                    freed += self._take_out(txn, key, moved)
                    if freed >= enough_bytes:
                        break
        except BaseException:
            self._bring_back(moved)
            raise
        for key, name, taken in moved:
            if name is not None:
                self._files.release(name)
                self._space.doom(taken)
            else:
                self._delete(key)
        return freed

    def record(self, key: bytes) -> BlobRecord | None:
        """What is known of a blob; None if it is absent, or if that is unreadable."""
        try:
            found = self._index.blob(key)
        except DamagedRecord:
            return None
        return None if found is None else found[0]

    def is_doubted(self, record: BlobRecord) -> bool:
        """Whether a file is to be hashed before any of it is given out, whatever its stamp."""
        return self.doubt is not None and self.doubt.covers(record)

    def doubted(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those whose files may be gone, as far as can be told without a look at them."""
        doubt = self.doubt
        return [] if doubt is None else [key for key in keys if doubt.may_be_lost(key)]

    def lost(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those that have an entry whose file is gone. It may take long; any thread may."""
        lost = []
        for key in keys:
            record = self.record(key)
            if record is not None and record.is_file and not self._files.exists(key):
                lost.append(key)
        return lost

    def drop_lost(self, keys: Iterable[bytes]) -> int:
        """Take out those whose files are gone.

        :returns: how many.
        """
        lost = self.lost(keys)
        if lost:
            self.evict(lost)
        return len(lost)

    def recover(self, *, killed: bool) -> None:
        """Bring index and files in step after a crash.

        :param killed: whether the index is as the process before has left it.
        """
        try:
            gone = [key for key in self._files.discarded() if not self._files.exists(key)]
            self.evict(gone)
            # In an index that has gone back, or is being made, there may be nothing yet of a good file.
            key = self._files.placing.noted() if killed and self.doubt is None else None
            if key is not None and self._index.blobs([key]) == [None]:
                self._files.discard(key)
        except OSError as error:  # no reason not to start
            self._log.warn("what is out of step is looked for in all files: {error}", error=error)
            self.doubt = self.doubt or Doubt(0, 0, verify=True)

    def _touch(self, keys: list[bytes]) -> None:
        # In such pieces that as many uses are written as come, if there are too many.
        for start in range(0, len(keys), MOST_AT_ONCE):
            self._last_use.touch_all(keys[start : start + MOST_AT_ONCE])

    def _take_out(self, txn: IndexWrite, key: bytes, moved: list[_Moved]) -> int:
        self._last_use.forget(key)
        if key[0] == ACTIONS:
            return txn.drop_action(key) or 0
        record = txn.drop_blob(key, self._files.guess)
        if record is None:
            return 0
        taken = disk_bytes(record.stored_bytes)
        if record.is_file:
            try:
                name = self._files.hold(key)
            except OSError:  # a full disk may have no room for its name there
                moved.append(_Moved(key, None, taken))
            else:
                if name is not None:
                    moved.append(_Moved(key, name, taken))
        return taken

    def _delete(self, key: bytes) -> None:
        # One that cannot even be deleted is one nobody knows of: wasted, until its blob comes again.
        with suppress(OSError):
            self._files.delete(self._files.path(key))

    def _bring_back(self, moved: list[_Moved]) -> None:
        """The index could not be told that they are gone: let them be where it believes them to be."""
        for key, name, _ in moved:
            with suppress(OSError):
                if name is not None:
                    self._files.bring_back(name, key)

    def _may_be_known_later(self, key: bytes) -> bool:
        """Whether there is a file in the place of a blob that has yet to be compared with the index."""
        return bool(self.doubted([key])) and self._files.exists(key)

    def _place(self, digest: Digest, temporary: str, *, stays: bool) -> BlobRecord:
        key = digest.key
        placed = False
        try:
            with self._index.write() as txn:
                stamp = self._files.place(temporary, key)
                placed = True
                now = self._last_use.written(digest.key, digest.size_bytes)
                record = BlobRecord(now, FILE, digest.size_bytes, stamp)
                txn.put_blob(key, record)
        except BaseException:
            # One that takes the place of another is of the same blob: it is hashed when it is read, or compared.
            if placed and not stays:
                self._files.discard(key)
            raise
        return record
