"""Files that this process has found right, and by which checksums that shows in what is read of them later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from struct import Struct
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime

from gorego_tw.errors import DigestMismatch
from gorego_tw.storage.records import BlobRecord
from gorego_tw.waiting_line import WaitingLine
from gorego_tw.zstd.seekable import DamagedFrames

#: How much the checksums may take in memory, in bytes: those of 130,000 files of up to 64 KiB, or of files of
#: 256 GiB together. What was not read for longest is forgotten, and compared with its hash when it is read again.
MOST_BYTES = 32 << 20

#: What a file takes beside its checksums, in bytes.
_FILE_BYTES = 240

#: In the order of time.
_STATE = Struct(">QQ")

#: After all of them.
_ANY = b"\xff"


class FileVersion(NamedTuple):
    """A file as it was when it was found right: its blob's key, and its change time with its length, packed."""

    key: bytes
    state: bytes


def version_of(key: bytes, record: BlobRecord) -> FileVersion:
    """The file that the record is of."""
    return FileVersion(key, _STATE.pack(record.stamp, record.stored_bytes))


class _Look(WaitingLine):
    """Those who wait for a file to be hashed.

    :ivar damage: what was found, if it is not the blob.
    """

    damage: Exception | None = None


class VerifiedFiles:
    """The checksums of files, by what they are.

    :param most_bytes: how much they may take in memory.
    :ivar hashed_bytes: how much of files was compared with a hash because somebody read it.
    """

    def __init__(self, clock: IReactorTime, most_bytes: int = MOST_BYTES) -> None:
        self.hashed_bytes = 0
        self._clock = clock
        self._most_bytes = most_bytes
        # Two generations, each of half of that: of the old one, what is asked for becomes young.
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._old_before = _ANY  # what is not before that in the old one was forgotten
        self._young_bytes = 0
        self._looks: dict[FileVersion, _Look] = {}

    def sums(self, file: FileVersion) -> bytes | None:
        """Its checksums, if they are known."""
        known = self._young.get(file.key)
        if known is None:
            known = self._old.get(file.key, b"")
            if known >= self._old_before:
                return None
        if not known.startswith(file.state):
            return None
        if file.key not in self._young:
            self._keep(file.key, known)
        return known[_STATE.size :]

    def put(self, file: FileVersion, sums: bytes) -> None:
        """It was found right, with those checksums."""
        self._keep(file.key, file.state + sums)

    def forget(self, since: int) -> None:
        """What was written from then on, in nanoseconds since the epoch, may have been found right in memory only."""
        # To look through all of it would take 50 ms, so the larger generation stays, and is looked at when it is asked.
        if len(self._young) > len(self._old):
            self._old, self._old_before = self._young, _ANY
        self._old_before = min(self._old_before, _STATE.pack(since, 0))
        self._young, self._young_bytes = {}, 0

    async def learn(self, file: FileVersion, verify: Callable[[], Awaitable[bytes]]) -> bytes:
        """Its checksums, found out if need be: once for all who want to know at the same time.

        :param verify: compares all of it with its hash. What it raises this does; of damage for all of them.
        """
        while (look := self._looks.get(file)) is not None:
            await look.join()
            if look.damage is not None:
                raise look.damage.with_traceback(None)
        sums = self.sums(file)
        if sums is not None:
            return sums
        look = self._looks[file] = _Look(self._clock)
        try:
            sums = await verify()
            self.put(file, sums)
        except (DigestMismatch, DamagedFrames) as damage:
            look.damage = damage
            raise
        finally:
            del self._looks[file]
            look.call()
        return sums

    def _keep(self, key: bytes, known: bytes) -> None:
        before = self._young.get(key)
        self._young_bytes += len(known) - len(before) if before else _FILE_BYTES + len(known)
        self._young[key] = known
        if self._young_bytes > self._most_bytes // 2:
            self._old, self._young, self._young_bytes = self._young, {}, 0
            self._old_before = _ANY
