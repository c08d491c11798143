"""Files and index compared, folder by folder, while calls are served.

After a power cut the index is as it was at the last checkpoint. Files that came later are there
without an entry; of others that were evicted later there is an entry and no file. When the
index was lost, all files are without an entry.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import NamedTuple, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from txaio.tx import make_logger

from gorego_tw.concurrency import Periodic
from gorego_tw.seldom import Seldom
from gorego_tw.storage.adoption import Adoption
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.doubt import FOLDERS, Doubt
from gorego_tw.storage.environment import Environment
from gorego_tw.storage.failures import PASSING, status_of
from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.index import Index
from gorego_tw.storage.inventory import Inventory
from gorego_tw.storage.last_use import LastUse
from gorego_tw.storage.records import (
    COMPRESSED,
    FILE,
    BlobRecord,
    DamagedRecord,
    disk_bytes,
    unpack_blob,
)
from gorego_tw.storage.stored_file import DamagedFile, apparent_size, recognized_record
from gorego_tw.storage.unknown_files import UnknownFiles
from gorego_tw.storage.unreadable import PASSING_SECONDS

#: How often is looked whether there is something to compare, in seconds.
LOOK_SECONDS = 1.0

#: How many entries are changed in one turn of the reactor: others wait for a millisecond.
SLICE_ENTRIES = 64

#: How much time passes between two notes of how far it is, in seconds: each takes new pages of the index.
NOTE_SECONDS = 1.0

#: How much time passes between two lines in the log about how far it is, in seconds.
TELL_SECONDS = 60.0

#: How long a folder is come back to in vain, in seconds, after another one was for PASSING_SECONDS.
IMPATIENT_SECONDS = 5.0

T = TypeVar("T")


class Unknown(NamedTuple):
    """A file that has no entry, and what it seems to be."""

    key: bytes
    record: BlobRecord

    @property
    def disk_bytes(self) -> int:
        """What it takes of the disk, in bytes."""
        return disk_bytes(self.record.stored_bytes)


class Survey(NamedTuple):
    """What is not in step in one folder: entries without a file, files without an entry, and files
    whose content is in doubt.
    """

    lost: list[bytes]
    unknown: list[Unknown]
    doubted: list[bytes]


class Reconciliation(Periodic):
    """Compares what is in doubt, until nothing is; after a restart it goes on where it was.

    :ivar adopted: how many files without an entry have one now.
    :ivar refused: how many were thrown away, because they are not what their name says.
    :ivar lost: how many entries without a file were dropped.
    """

    _log = make_logger()

    def __init__(
        self,
        environment: Environment,
        index: Index,
        inventory: Inventory,
        *,
        files: BlobFiles,
        unknown: UnknownFiles,
        last_use: LastUse,
        threads: DiskThreads,
        clock: IReactorTime,
    ) -> None:
        super().__init__("comparison of index and files", self._compare, LOOK_SECONDS, clock)
        self.adopted = 0
        self.refused = 0
        self.lost = 0
        self._environment = environment
        self._index = index
        self._inventory = inventory
        self._adoption = Adoption(index, files, inventory)
        self._files = files
        self._unknown = unknown
        self._estimated: Doubt | None = None
        self._last_use = last_use
        self._threads = threads
        self._clock = clock
        self._away_since: float | None = None
        self._patience_seconds = PASSING_SECONDS
        self._lines = Seldom(TELL_SECONDS, clock, at_once=False)
        self._notes = Seldom(NOTE_SECONDS, clock, at_once=False)

    def startService(self) -> None:
        """Begin, at once if there is something to compare: until then nobody knows how much room it takes."""
        super().startService()
        if self._inventory.doubt is not None:
            self.wake()

    @property
    def progress(self) -> float:
        """Which part of the folders is in step: 1 most of the time."""
        doubt = self._inventory.doubt
        return 1.0 if doubt is None else doubt.position / len(FOLDERS)

    async def estimate(self, is_wanted: Callable[[], object] = lambda: True) -> None:
        """Find out about how much the files take that are not known yet, so that it counts.

        :param is_wanted: whether to go on.
        """
        doubt = self._inventory.doubt
        if doubt is not None:
            await self._unknown.estimate(doubt.position, self._threads, is_wanted)

    async def _compare(self) -> None:
        while self.running and (doubt := self._inventory.doubt) is not None:
            if doubt.position >= len(FOLDERS):
                doubt.end(self._environment)
                self._inventory.doubt = None
                self._unknown.end()
                self._tell("index and files are in step")
                return
            if doubt is not self._estimated:
                await self.estimate(lambda: self.running)
                self._estimated = doubt
                continue
            await self._compare_folder(doubt, FOLDERS[doubt.position])
            if not self.running:  # it may not have come to its end
                return
            self._away_since = None
            doubt.position += 1
            self._note_sometimes(doubt)
            self._tell_sometimes()

    async def _compare_folder(self, doubt: Doubt, prefix: bytes) -> None:
        survey = await self._threads.run(self._survey, doubt, prefix)
        self._unknown.surveyed(prefix, sum(file.disk_bytes for file in survey.unknown))
        for keys in _slices(survey.lost):
            self.lost += self._inventory.drop_lost(keys)
            await deferLater(self._clock, 0)
        for keys in _slices(survey.doubted):
            self._adoption.doubt(keys)
            await deferLater(self._clock, 0)
        if doubt.verify:
            for unknown in survey.unknown:
                if not self.running:
                    return
                await self._verify(unknown)
                self._unknown.settled(unknown.disk_bytes)
        else:
            for some in _slices(survey.unknown):
                self._adopt(some)
                self._unknown.settled(sum(file.disk_bytes for file in some))
                await deferLater(self._clock, 0)

    def _survey(self, doubt: Doubt, prefix: bytes) -> Survey:  # in a thread
        survey = Survey([], [], [])
        try:
            there = self._files.folder(prefix)
        except OSError as error:
            self._wait_if_it_may_pass(error)
            self._log.warn(
                "a folder of files cannot be read, and is left out: {error}", error=error
            )
            return survey
        for key, value in self._index.of_prefix(prefix):
            with suppress(DamagedRecord):  # dropped when it is asked for
                record = unpack_blob(key, value)
                if not record.is_file:
                    continue
                if key not in there:
                    survey.lost.append(key)
                elif doubt.covers(record):
                    survey.doubted.append(key)
                there.discard(key)
        for key in there:
            try:
                record = _guess(self._files.path(key), self._last_use.now)
            except OSError as error:
                self._wait_if_it_may_pass(error)
            else:
                survey.unknown.append(Unknown(key, record))
        return survey

    async def _verify(self, file: Unknown) -> None:
        """Let the index know a file if it is what its name says; else throw it away."""
        path = self._files.path(file.key)
        try:
            record = await self._threads.run(_recognize, path, file.key, file.record.last_used)
        except FileNotFoundError:
            return
        except (OSError, DamagedFile) as error:
            self._wait_if_it_may_pass(error)
            self._refuse(file.key, str(error))
        else:
            if self._files.stamp(file.key) == record.stamp:
                self._adopt([Unknown(file.key, record)])

    def _wait_if_it_may_pass(self, error: Exception) -> None:
        """Come back to this folder, if a disk may only be away for a moment: files are not thrown away for that.

        :raises StatusError: then.
        """
        if not isinstance(error, OSError) or error.errno not in PASSING:
            return
        now = self._clock.seconds()
        if self._away_since is None:
            self._away_since = now
        if 0 <= now - self._away_since < self._patience_seconds:
            raise status_of(error)
        # Not as long for each of many bad files; a folder that can be read shows that the disk is there.
        self._patience_seconds = min(self._patience_seconds, IMPATIENT_SECONDS)

    def _adopt(self, files: list[Unknown]) -> None:
        for file in files:
            if not file.record.size_bytes:
                self._refuse(file.key, "empty")
        self.adopted += self._adoption.adopt(file for file in files if file.record.size_bytes)

    def _refuse(self, key: bytes, damage: str) -> None:
        if self._adoption.refuse(key, damage):
            self.refused += 1

    def _note_sometimes(self, doubt: Doubt) -> None:
        if self._notes.due:
            self._notes.done()
            doubt.write(self._environment)

    def _tell_sometimes(self) -> None:
        if self._lines.due:
            self._tell("index and files are being compared")

    def _tell(self, what: str) -> None:
        self._lines.done()
        self._log.info(
            "{what}: {percent:.0f} %; {adopted} files adopted, {refused} refused, {lost} lost",
            what=what,
            percent=100 * self.progress,
            adopted=self.adopted,
            refused=self.refused,
            lost=self.lost,
        )


def _slices(things: list[T]) -> Iterator[list[T]]:
    iterator = iter(things)
    while some := list(islice(iterator, SLICE_ENTRIES)):
        yield some


def _guess(path: str, now: int) -> BlobRecord:  # in a thread
    """What a file seems to be; its stamp lets it be hashed before it is served."""
    with _opened(path) as fd:
        found = os.fstat(fd)
        used = min(now, int(max(found.st_atime, found.st_mtime)))
        size_bytes = apparent_size(fd, found.st_size)
    if size_bytes == found.st_size:
        return BlobRecord(used, FILE, size_bytes, 0)
    return BlobRecord(used, COMPRESSED, size_bytes, 0, found.st_size)


def _recognize(path: str, key: bytes, last_used: int) -> BlobRecord:  # in a thread
    with _opened(path) as fd:
        return recognized_record(fd, key, last_used)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)
