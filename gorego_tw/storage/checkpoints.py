"""Checkpoints: the points in time that a power cut leads back to.

LMDB commits without waiting for the disk (MDB_NOSYNC), and the kernel writes the pages of its file in any
order. After a power cut the newest meta page may point at pages that were not written, while pages of
the tree before were written over by later commits: the file is damaged, and nothing in it says so. What
could be done about it:

- Waiting for the disk at each commit (MDB_NOMETASYNC alone): some milliseconds in place of 20 µs, for
  each blob.
- A copy of the index at each checkpoint: gigabytes, twice a minute.
- A look at all of the tree after a power cut: a page of an earlier time looks as good as a right one,
  and what the cut has destroyed is still gone, with all small blobs and action results in it.
- Keeping LMDB from writing over the pages of the last checkpoint. It leaves pages alone that a reader
  may see; so a reader that stays at the checkpoint keeps all of its pages as they are, and they are
  on the disk. What is missing is the meta page, of which only two exist: it is kept in a file of its own.

The last is what happens here. After a power cut the meta page of the checkpoint is put back, and the index
is as it was then: whole, without a look at it, however large it is.

What it costs: pages that were freed since the checkpoint are not used again before the next one, so that
each commit writes to other ones: 11 to 15 for a small blob, 9 to 11 for one that is a file. The file
has as many free ones as are freed between two checkpoints, twice: some wait while the others are used. So
these are counted (a commit may be one insert, or the last uses of hundreds of entries all over the index),
and a checkpoint comes earlier when there are many; how many, Environment.growth_bytes says. It makes
no difference to how long an insert takes how often one is taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

import lmdb
from twisted.internet.defer import DeferredLock

from gorego_tw.errors import StatusError, Unavailable
from gorego_tw.storage.checkpoint_record import CheckpointRecord
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.environment import Environment
from gorego_tw.storage.failures import telling
from gorego_tw.storage.lmdb_pages import DamagedPage, newest_meta
from gorego_tw.storage.rewriting import write_again
from gorego_tw.storage.stable_storage import sync_file_system

#: So many times of what makes a checkpoint due may be held for the last one, and the index grow by that, while
#: the next ones fail: 2 GiB, or a quarter of a small cache, and 64 MiB of the smallest. What comes then has to wait.
FAILING_PARTS = 16

#: The same if none has failed since: the disk may only be slow, or have much of others to write. 4 GiB, or
#: half of a small cache, and 128 MiB of the smallest: room for some 30 small blobs in each MiB.
SLOW_PARTS = 32

#: So much may be held, as a part of the limit, before writes wait for the next checkpoint: as much may be free and
#: used again at the same time, and both together are what is kept free below a limit of up to 16 GiB. Beyond 64 GiB
#: it is half of what may be held at most.
PACE_SHARE = 32

#: After so many commits those pages are counted, most of which free 10 to 15; one counts once more for each so many
#: bytes that come and go.
_COUNT_EVERY = 64
_COUNT_BYTES = 64 << 10


@dataclass
class Checkpoint:
    """A moment of the index, kept as it is while ``reader`` is open."""

    reader: lmdb.Transaction[bytes]
    transaction: int
    meta: bytes
    since: int


class Checkpoints:
    """Takes them, one after the other.

    :param folder: of the index.
    :ivar taken: how many there were.
    :ivar behind: whether so much is held for the last one that the index should not grow before the next:
        the disk fails, or is very slow.
    :ivar hurried: whether more is held than there is room for below the limit, so that who can wait should.
    :ivar relaxed: called when that is no longer so.
    :ivar wanted: called when one has become due.
    :ivar distrust: told from when on, in nanoseconds since the epoch, what was written to files may not
        come to the disk any more: the kernel tells once that it could not, and forgets what it was.
    """

    def __init__(self, environment: Environment, folder: Path, boot_id: str) -> None:
        self.taken = 0
        self.behind = False
        self.hurried = False
        self.relaxed: Callable[[], object] = bool
        self.wanted: Callable[[], object] = bool
        self.distrust: Callable[[int], object] = lambda _since: None
        self._environment = environment
        self._folder = folder
        self._boot_id = boot_id
        self._uncounted = 0
        self._last: Checkpoint | None = None
        self._starts = 0
        self._whole = False
        self._has_failed = False
        self._lock = DeferredLock()
        self._unsettled = folder / "unsettled"
        # Kept open, because trouble with the disk is told once to each who has it open.
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def start(self, since: int | None, starts: int) -> None:
        """Make what is in the index now what a power cut leads back to. Before anything is written.

        The files are not waited for, which would take as long as everybody's files on this file system.

        :param since: from when on files may not be on stable storage; None if all are.
        :param starts: as in :class:`CheckpointRecord`.
        :raises Unavailable: the disk fails.
        """
        self._starts = starts
        point = self._begin()
        if since is not None:
            point.since = since
        with self._noting_failure():
            self._write_lost_pages()
            self._environment.sync()
            self._record(point, clean=False)
        self._last = point
        self._environment.committed = self._look

    @property
    def due(self) -> bool:
        """Whether there is reason enough not to wait for the next one."""
        return not self._whole or self._held_bytes() >= self._environment.growth_bytes

    @property
    def due_again(self) -> bool:
        """Whether so much was written while the last one was taken that the next one is due. What cannot be
        counted is no reason: it would be none the less after the next.
        """
        return self._environment.growth_bytes <= self._held_bytes() < inf

    async def take_if_due(self, threads: DiskThreads) -> None:
        """Take one if it is due, or wait for the one that is being taken.

        :raises StatusError: as :meth:`take`.
        """
        if self.due:
            async with self._lock:
                if self.due:
                    await self._take(threads, clean=False)

    async def take(self, threads: DiskThreads, *, clean: bool = False) -> None:
        """Bring the index and all files as they are now to stable storage.

        :param clean: nothing will be written any more.
        :raises StatusError: the disk fails; the one before is still what a power cut leads back to.
        """
        async with self._lock:
            if clean or not self._idle:
                await self._take(threads, clean=clean)

    def file_system_time(self) -> int:
        """Files that are written from now on have this change time, or a later one."""
        path = self._folder / "now"
        with path.open("wb"):
            os.utime(path)
        return path.stat().st_ctime_ns

    def lived(self) -> None:
        """This process has been well for long."""
        self._starts = 0

    def close(self) -> None:
        """Let go of everything."""
        self._release()
        os.close(self._fd)

    async def _take(self, threads: DiskThreads, *, clean: bool) -> None:
        self._environment.checkpoints += 1
        point = self._begin()
        try:
            await threads.run(self._bring_home, point, clean)
        except BaseException as error:
            point.reader.abort()
            if isinstance(error, StatusError):
                self._has_failed = True
                if self._last is not None:
                    self.distrust(self._last.since)
                self._judge(self._held_bytes())
            raise
        self.taken += 1
        self._has_failed = False
        self._whole = True
        self._release()
        self._last = point
        self._judge(self._held_bytes())

    def _held_bytes(self) -> float:
        """How much of the index is free and is held for the last checkpoint, in bytes."""
        free_pages = self._environment.free_pages
        try:
            return free_pages.freed_since(self._last_transaction) * free_pages.page_bytes
        except (OSError, DamagedPage):
            return inf  # the next checkpoint will tell what is wrong

    def _judge(self, held_bytes: float) -> None:
        """Find out whether writes are to wait, or to be refused."""
        growth = self._environment.growth_bytes
        parts = FAILING_PARTS if self._has_failed else SLOW_PARTS
        self.behind = parts * growth <= held_bytes < inf
        # Who waits for a disk that fails waits in vain.
        pace = min(
            max(growth, self._environment.limit_bytes // PACE_SHARE), SLOW_PARTS * growth // 2
        )
        was_hurried = self.hurried
        self.hurried = pace <= held_bytes < inf and not self._has_failed
        if was_hurried and not self.hurried:
            self.relaxed()

    def _look(self, size_bytes: int) -> None:
        """Something was committed, with which so many bytes came and went."""
        self._uncounted += 1 + size_bytes // _COUNT_BYTES
        if self._uncounted >= _COUNT_EVERY:
            self._uncounted = 0
            held = self._held_bytes()
            self._judge(held)
            if held >= self._environment.growth_bytes or not self._whole:
                self.wanted()

    @property
    def _idle(self) -> bool:
        return self._whole and self._environment.last_transaction == self._last_transaction

    @property
    def _last_transaction(self) -> int:
        return self._last.transaction if self._last else 0

    def _begin(self) -> Checkpoint:
        """This moment, not yet on stable storage. No write may be under way.

        :raises Unavailable: the index cannot be read.
        """
        with telling():
            since = self.file_system_time()
        try:
            reader = self._environment.begin()
            meta, page = newest_meta(self._environment.head())
            if meta.transaction != reader.id():
                reader.abort()
                raise Unavailable("local tier: somebody else writes to the index")
        except lmdb.Error as error:
            raise self._environment.trouble(error) from error
        except DamagedPage as error:
            self._environment.damage.note(str(error))
            raise Unavailable(f"local tier: index: {error}") from error
        except OSError as error:
            raise Unavailable(f"local tier: index: {error}") from error
        return Checkpoint(reader, meta.transaction, page, since)

    def _bring_home(self, point: Checkpoint, clean: bool) -> None:  # in a thread
        with self._noting_failure():
            self._write_lost_pages()
            with telling():
                sync_file_system(self._fd)
            self._record(point, clean=clean)

    def _write_lost_pages(self) -> None:
        if self._unsettled.exists():
            with telling():
                write_again(self._environment)

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """If the block fails pages may be lost that the kernel takes for written; the next process has to know it,
        too. A power cut may take the note along, but it leads back to what was on the disk before.
        """
        try:
            yield
        except StatusError:
            with suppress(OSError):
                self._unsettled.touch()
            raise
        with suppress(OSError):
            self._unsettled.unlink(missing_ok=True)

    def _record(self, point: Checkpoint, *, clean: bool) -> None:
        record = CheckpointRecord(self._boot_id, clean, self._starts, point.since, point.meta)
        with telling():
            record.write(self._folder)

    def _release(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            with suppress(lmdb.Error):
                last.reader.abort()
