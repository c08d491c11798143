"""A slow look at all that is stored, for what the disk has damaged since it was written."""

from __future__ import annotations

import os

from twisted.internet.interfaces import IReactorTime
from txaio.tx import make_logger

from gorego_tw.concurrency import Periodic
from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.seldom import Seldom
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.environment import Environment
from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.index import Index
from gorego_tw.storage.inventory import Inventory
from gorego_tw.storage.pace import Pace
from gorego_tw.storage.reading import read_without_trace
from gorego_tw.storage.records import ACTIONS, BlobRecord, DamagedRecord, damage_of_action
from gorego_tw.storage.stored_file import ContentHash, DamagedFile, verified_record
from gorego_tw.storage.unreadable import MayPass

#: How long after the end of a pass the next one begins, in seconds, and the first one after the start.
LOOK_SECONDS = 10.0

#: How many entries are looked up at once, and how often it is noted where it is, in seconds.
BATCH_ENTRIES = 32
NOTE_SECONDS = 10.0

#: What an entry counts as at least, in bytes: a page has to be read for it.
LEAST_BYTES = 4096

_NAME = b"scrub"

#: Files are read as if no one had read before or would read on: nothing is read ahead.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class Scrub(Periodic):
    """Reads every entry and compares it with its hash, at an even pace, again and again.

    What is damaged is dropped. What was not in memory before it was read is not afterwards, so that
    what clients use stays there. After a restart it goes on where it was.

    :param bytes_per_second: how fast, in bytes per second; 0 for not at all.
    :param may_pass: asked of a file that the disk cannot read; if so it is no damage yet.
    :ivar scrubbed_entries: how many blobs and action results it has read.
    :ivar scrubbed_bytes: how large they were, in bytes.
    :ivar passes: how often it has come to the end.
    """

    _log = make_logger()

    def __init__(
        self,
        bytes_per_second: int,
        *,
        environment: Environment,
        index: Index,
        inventory: Inventory,
        files: BlobFiles,
        may_pass: MayPass,
        threads: DiskThreads,
        clock: IReactorTime,
    ) -> None:
        super().__init__("scrub", self._scrub, LOOK_SECONDS, clock)
        self.scrubbed_entries = 0
        self.scrubbed_bytes = 0
        self.passes = 0
        self._pace = Pace(bytes_per_second, clock) if bytes_per_second else None
        self._environment = environment
        self._index = index
        self._inventory = inventory
        self._files = files
        self._may_pass = may_pass
        self._threads = threads
        self._notes = Seldom(NOTE_SECONDS, clock, at_once=False)
        self._position = environment.position(_NAME) or b""

    @property
    def progress(self) -> float:
        """Which part of the entries the pass under way has seen."""
        if not self._position:
            return 0.0
        kind, tallies = self._position[0], self._index.tallies
        total = sum(tally.entries for tally in tallies.values())
        before = sum(tally.entries for number, tally in tallies.items() if number < kind)
        inside = tallies[kind].entries if kind in tallies else 0
        # Hashes are spread evenly.
        part = int.from_bytes(self._position[1:5].ljust(4, b"\0"), "big") / (1 << 32)
        return (before + inside * part) / total if total else 0.0

    async def _scrub(self) -> None:
        if self._pace is None:
            return
        while self.running and (keys := self._index.following(self._position, BATCH_ENTRIES)):
            for key in keys:
                await self._pace.keep(await self._look_at(self._pace, key), self._goes_on)
                if not self.running:
                    break
                self._position = key + b"\0"
            self._note()
        if self.running:
            self.passes += 1
            self._position = b""
            self._note(at_once=True)

    def stopService(self) -> object:  # type: ignore[override]  # what it returns is waited for
        """Do the work no more; note where it is."""
        self._note(at_once=True)
        return super().stopService()

    async def _look_at(self, pace: Pace, key: bytes) -> int:
        """Compare one entry.

        :returns: how much was read that the pace does not know of, in bytes.
        """
        self.scrubbed_entries += 1
        size = self._action(key) if key[0] == ACTIONS else self._inline(key)
        if size is None:
            return await self._file(pace, key)
        self.scrubbed_bytes += size
        return max(size, LEAST_BYTES)

    def _action(self, key: bytes) -> int:
        value = self._index.action(key)
        if value is None:
            return 0
        if damage := damage_of_action(value):
            self._inventory.drop(key, damage)
        return len(value)

    def _inline(self, key: bytes) -> int | None:
        """The size of a blob that is in the index, or gone; None if it is a file."""
        try:
            found = self._index.blob(key)
        except DamagedRecord:
            self._inventory.drop(key, "unreadable record")
            return 0
        if found is None:
            return 0
        record, data = found
        if record.is_file:
            return None
        if data is None or digest_of(data, DigestFunction(key[0])).key != key:
            self._inventory.drop(key, "wrong hash in the index")
        return record.size_bytes

    async def _file(self, pace: Pace, key: bytes) -> int:
        record = self._inventory.record(key)
        if record is None:
            return LEAST_BYTES
        try:
            fd = os.open(self._files.path(key), _FLAGS)
        except FileNotFoundError:
            self._damaged(key, record, "removed")
            return LEAST_BYTES
        except OSError:  # it says nothing of the file; there will be another pass
            return LEAST_BYTES
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
            await self._compare(pace, key, record, fd)
        finally:
            os.close(fd)
        return 0

    async def _compare(self, pace: Pace, key: bytes, record: BlobRecord, fd: int) -> None:
        digest = Digest(key, record.size_bytes)
        try:
            content = ContentHash(fd, digest, read_without_trace)
            while self.running and (count := await self._threads.run(content.take)):
                self.scrubbed_bytes += count
                await pace.keep(max(count, LEAST_BYTES), self._goes_on)
            if self.running:
                content.check()
        except OSError as error:
            if not self._may_pass(digest, record, error):
                self._damaged(key, record, str(error.strerror))
        except DamagedFile as error:
            if not await self._is_another(digest, record, fd):
                self._damaged(key, record, f"{error}, found by scrub")

    async def _is_another(self, digest: Digest, record: BlobRecord, fd: int) -> bool:
        """Whether the size of the blob was guessed, and is another one."""
        if record.stamp:
            return False
        try:
            right, _ = await self._threads.run(verified_record, fd, digest, record)
        except (OSError, DamagedFile):
            return False
        if self._inventory.record(digest.key) == record:
            self._inventory.restamp(digest.key, right)
        return True

    def _damaged(self, key: bytes, record: BlobRecord, damage: str) -> None:
        # It may have been evicted meanwhile, and put again; or only used.
        now = self._inventory.record(key)
        if now is not None and now.stamp == record.stamp:
            self._inventory.drop(key, damage)

    def _goes_on(self) -> bool:
        return bool(self.running)

    def _note(self, *, at_once: bool = False) -> None:
        if self._pace is None:
            return
        if at_once or self._notes.due:
            self._notes.done()
            self._environment.note_position(_NAME, self._position)
