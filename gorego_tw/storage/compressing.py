"""Compression at rest: blobs that have become files are made smaller afterwards.

Not while they are written: uploads and fetches take as long as without it, what arrives is read,
gone on with and verified as it is, and everything about it is in this module and the form of the
file. What is written twice is written to memory only, as long as it is replaced before the
system writes it out, which takes some seconds.

Blobs in the index stay as they are: they take a page at most, and less only if several of them
could share one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from contextvars import Context
from typing import NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from txaio.tx import make_logger

from gorego_tw.digest import Digest
from gorego_tw.errors import StatusError
from gorego_tw.storage.backlog import Backlog, noted
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.failures import telling
from gorego_tw.storage.frame_file import FrameFile, WrongContent
from gorego_tw.storage.records import FILE, BlobRecord
from gorego_tw.storage.stored_file import DamagedFile, verified_file
from gorego_tw.storage.tier import LocalTier
from gorego_tw.zstd.seekable import MOST_FRAMES, FrameCompressor, frame_count

#: How many blobs may wait, some 200 bytes each. Those beyond stay as they are; a queue that long
#: means that more arrives, for minutes, than one processor can compress.
MOST_WAITING = 65_536

#: Blobs below stay as they are, in bytes. To make a second file takes 0.3 ms of a processor, whatever its size;
#: of what files of a system take of the disk, those of less than 16 KiB, which are more than half
#: of them, would save 4 %, and all others 56 %.
LEAST_BYTES = 16 * 1024

#: How many blobs are looked at before others have their turn.
_TURN_BLOBS = 64

#: In the place of a number of checkpoints: the blob may be on stable storage.
_ANOTHER_PROCESS = -1


class _Waiting(NamedTuple):
    """A blob, and how many checkpoints had been begun when it came."""

    digest: Digest
    checkpoints: int


class Compressing(Service):
    """Compresses what becomes a file from its start on, one blob after the other; then, what waited when
    the process before it ended, however that was.

    :param threads: one is enough, of low priority.
    :ivar compressed: how many blobs it has compressed.
    :ivar original_bytes: how much those were, in bytes.
    :ivar compressed_bytes: how much they are now, in bytes.
    :ivar incompressible: how many stayed as they are because it was not worthwhile.
    :ivar passed_over: how many stayed so for lack of time or room.
    :raises FolderError: the version of the folder cannot be written.
    """

    _log = make_logger()

    def __init__(self, tier: LocalTier, threads: DiskThreads) -> None:
        tier.folder.allow_compressed()
        self.compressed = 0
        self.original_bytes = 0
        self.compressed_bytes = 0
        self.incompressible = 0
        self.passed_over = 0
        self._tier = tier
        self._threads = threads
        self._queue: deque[_Waiting] = deque()
        self._backlog: Backlog | None = None
        self._left: Iterator[bytes] = iter(())
        self._unfinished = False
        self._compressor = FrameCompressor()
        self._file: FrameFile | None = None
        self._working: Deferred[None] = succeed(None)
        self._busy = False

    @property
    def waiting(self) -> int:
        """How many blobs wait."""
        return len(self._queue)

    def startService(self) -> None:
        """Begin to be told of files."""
        super().startService()
        self._tier.inventory.filed = self._add
        try:
            self._backlog = Backlog(self._tier.folder.path / "compressing")
        except OSError as error:
            self._log.warn("what waits for compression cannot be noted: {error}", error=error)
            return
        if not self._backlog.is_empty:
            self._working = Context().run(Deferred.fromCoroutine, self._go_on(self._backlog))

    def stopService(self) -> Deferred[None]:
        """Break off.

        :returns: fires when the thread has ended.
        """
        super().stopService()
        self._tier.inventory.filed = bool
        if self._file is not None:
            self._file.wanted = False
            self._unfinished = True
        return self._working.addCallback(self._let_go)

    def _add(self, digest: Digest) -> None:
        if digest.size_bytes < LEAST_BYTES or frame_count(digest.size_bytes) > MOST_FRAMES:
            return
        if len(self._queue) >= MOST_WAITING:
            self.passed_over += 1
            return
        self._queue.append(_Waiting(digest, self._tier.environment.checkpoints))
        if self._backlog is not None:
            self._backlog.add(digest)
        if not self._busy:
            # Whose blob was the first has nothing to do with the others.
            self._working = Context().run(Deferred.fromCoroutine, self._work())

    async def _go_on(self, backlog: Backlog) -> None:
        """Begin with what the process before has left."""
        self._busy = True
        self._left = iter(await self._threads.run(backlog.read))
        await self._work()
        if self.running:
            backlog.clear(at_once=True)

    async def _work(self) -> None:
        self._busy = True
        looked_at = 0
        try:
            while self.running and (waiting := self._next()) is not None:
                await self._try(waiting)
                looked_at += 1
                if not looked_at % _TURN_BLOBS:  # of what was done before
                    await deferLater(self._tier.clock, 0)
        finally:
            self._busy = False
        if self._backlog is not None and self.running:
            self._backlog.clear()

    def _next(self) -> _Waiting | None:
        """What comes now before what was left."""
        if self._queue:
            return self._queue.popleft()
        for line in self._left:
            digest = noted(line)
            if digest is not None:
                return _Waiting(digest, _ANOTHER_PROCESS)
        return None

    def _let_go(self, _: object) -> None:
        backlog, self._backlog = self._backlog, None
        if backlog is not None:
            if not self._unfinished and not self._queue and next(self._left, None) is None:
                backlog.clear(at_once=True)
            backlog.close()

    async def _try(self, waiting: _Waiting) -> None:
        try:
            record = await self._record(waiting.digest)
            if record is None or record.location != FILE:
                return
            room = self._tier.space.spare(waiting.digest.size_bytes)
            if room is None:
                self.passed_over += 1
                return
            with room:
                await self._compress(waiting, record)
        except StatusError:  # a disk that is full or broken, or the blob was evicted meanwhile
            self.passed_over += 1
        except Exception:  # what becomes of the next ones does not depend on it
            self.passed_over += 1
            self._log.failure("{blob} was not compressed", blob=str(waiting.digest))

    async def _record(self, digest: Digest) -> BlobRecord | None:
        """What is known of a blob, after a look that its file is as the index says: a process that was
        killed may have compressed it, and not said so.
        """
        found = self._tier.inventory.find(digest)
        if found is None or not found[0].is_file:
            return None
        record = found[0]
        with telling():
            stamp = self._tier.files.stamp(digest.key)
        if stamp == record.stamp:
            return record
        try:
            path = self._tier.files.path(digest.key)
            right = await self._threads.run(verified_file, path, digest, record)
        except (OSError, DamagedFile):  # found out by who reads it
            return None
        if self._tier.inventory.record(digest.key) != record:
            return None
        self._tier.inventory.restamp(digest.key, right)
        return right

    async def _compress(self, waiting: _Waiting, record: BlobRecord) -> None:
        digest, files, run = waiting.digest, self._tier.files, self._threads.run
        path = files.temporary()
        file = FrameFile(digest, files.path(digest.key), path, self._compressor)
        self._file = file
        try:
            with telling():
                length = await run(file.make)
                if length is None:
                    self.incompressible += file.wanted
                    return
                if self._tier.environment.checkpoints != waiting.checkpoints:
                    # The blob may be on stable storage, and has to be there after a crash.
                    await run(file.sync)
            self._replace(digest, record, path, length, file.sums.digest())
        except WrongContent as damage:
            self._damaged(digest, record, damage)
        finally:
            self._file = None
            with suppress(OSError):  # deleted at the next start
                files.delete(path)
            file.close()

    def _replace(
        self, digest: Digest, record: BlobRecord, path: str, length: int, sums: bytes
    ) -> None:
        if self._tier.inventory.replace_file(digest, record, path, length, sums):
            self.compressed += 1
            self.original_bytes += digest.size_bytes
            self.compressed_bytes += length

    def _damaged(self, digest: Digest, record: BlobRecord, damage: WrongContent) -> None:
        found = self._tier.inventory.find(digest)
        if found is not None and found[0].stamp == record.stamp:
            self._tier.inventory.drop(digest.key, str(damage))
