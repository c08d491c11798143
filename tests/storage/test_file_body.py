"""Files on their way out: hot, cold, on file systems that cannot tell."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.concurrency import closing
from gorego_tw.errors import DataLoss, Unavailable
from gorego_tw.storage import reading as storage_reading
from gorego_tw.storage.disk_threads import HeldDiskThreads
from gorego_tw.storage.file_body import FIRST_CHUNK, READ_CHUNK, FileBody, FilePieces
from tests.storage.tiers import blob, open_files

SIZE = FIRST_CHUNK + 2 * READ_CHUNK + 1000


class FileBodyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.data = blob(SIZE)[1]
        self.file = Path(self.mktemp())
        self.file.write_bytes(self.data)
        self.threads = HeldDiskThreads()
        self.damage: list[str] = []
        self.may_pass = False
        self.before = open_files()
        self.preadv = os.preadv

    def body(self) -> FileBody:
        fd = os.open(self.file, os.O_RDONLY)
        return FileBody(
            fd,
            SIZE,
            self.threads,
            damaged=self.damage.append,
            may_pass=lambda _: self.may_pass,
        )

    def answer_now(self, code: int | None = None, most: int = SIZE) -> None:
        """Let reads that must not wait fail so, or give so much at most."""

        def preadv(fd: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
            if not flags:
                return self.preadv(fd, buffers, offset)
            if code is not None:
                raise OSError(code, os.strerror(code))
            return self.preadv(fd, [buffers[0][:most]], offset)

        self.patch(os, "preadv", preadv)

    async def read(self, body: FileBody, offset: int = 0, end: int | None = None) -> bytes:
        data = bytearray()
        async with closing(body.chunks(offset, end)) as pieces:
            async for piece in pieces:
                data += piece
        return bytes(data)

    def test_hot(self) -> None:
        """What is in memory is read at once, first a little, then in pieces of READ_CHUNK, and the file is
        closed.
        """
        body = self.body()
        pieces = FilePieces(body, 0, body.size_bytes)
        sizes = [len(self.successResultOf(anext(pieces))) for _ in range(4)]
        self.assertEqual(sizes, [FIRST_CHUNK, READ_CHUNK, READ_CHUNK, 1000])
        self.failureResultOf(anext(pieces), StopAsyncIteration)
        self.assertEqual(open_files(), self.before)

    def test_part(self) -> None:
        """A part is read to its end and no further, and the file is closed."""
        for offset, end in ((0, 10), (5, FIRST_CHUNK + 7), (FIRST_CHUNK, FIRST_CHUNK), (9, None)):
            part = self.successResultOf(self.read(self.body(), offset, end))
            self.assertEqual(part, self.data[offset:end])
        self.assertEqual(open_files(), self.before)

    def test_cold(self) -> None:
        """What is not in memory is read by a thread; so is everything where nobody can tell."""
        for code in (errno.EAGAIN, errno.EOPNOTSUPP):
            self.answer_now(code)
            for read in (self.read(self.body()), self.body().read_all()):
                reading = Deferred.fromCoroutine(read)
                self.assertNoResult(reading)
                self.threads.release()
                self.assertEqual(self.successResultOf(reading), self.data)
        self.assertEqual(open_files(), self.before)

    def test_other_systems(self) -> None:
        """Where there is no RWF_NOWAIT, every read takes a thread."""
        self.patch(storage_reading, "_NOWAIT", None)
        reading = Deferred.fromCoroutine(self.read(self.body()))
        self.threads.release()
        self.assertEqual(self.successResultOf(reading), self.data)

    def test_partly_hot(self) -> None:
        """What is there is given out before the rest is waited for."""
        self.answer_now(most=10_000)
        self.assertEqual(self.successResultOf(self.read(self.body())), self.data)
        self.assertEqual(self.successResultOf(self.body().read_all()), self.data)

    def test_closed_early(self) -> None:
        """Who does not read it to the end, or does not begin, leaves no file open."""
        self.body().discard()
        bodies = [self.body() for _ in range(2)]
        iterators = [FilePieces(body, 0, body.size_bytes) for body in bodies]
        self.successResultOf(anext(iterators[1]))
        for iterator in iterators:
            self.successResultOf(iterator.aclose())
        self.assertEqual(open_files(), self.before)

    def test_forgotten(self) -> None:
        """Nor does who forgets it."""
        body = self.body()
        del body
        self.assertEqual(open_files(), self.before)

    def test_cancelled(self) -> None:
        """Who goes away while a thread reads waits for the thread before the file is closed."""
        self.answer_now(errno.EAGAIN)
        for read in (self.read(self.body()), self.body().read_all()):
            reading = Deferred.fromCoroutine(read)
            reading.cancel()
            self.assertNoResult(reading)
            self.assertNotEqual(open_files(), self.before)
            self.threads.release()
            self.failureResultOf(reading, CancelledError)
            del read
        self.assertEqual(open_files(), self.before)

    def test_truncated(self) -> None:
        """Fewer bytes than the blob has are damage."""
        os.truncate(self.file, READ_CHUNK)
        self.failureResultOf(self.body().read_all(), DataLoss)
        self.failureResultOf(self.read(self.body()), DataLoss)
        self.assertEqual(len(self.damage), 2)
        self.assertEqual(open_files(), self.before)

    def test_unreadable(self) -> None:
        """A disk that fails is damage, if that does not pass; a system that fails otherwise is not."""
        self.answer_now(errno.EIO)
        self.failureResultOf(self.body().read_all(), DataLoss)
        self.assertEqual(len(self.damage), 1)
        self.may_pass = True
        self.failureResultOf(self.body().read_all(), Unavailable)
        self.answer_now(errno.ENOMEM)
        self.failureResultOf(self.body().read_all(), Unavailable)
        self.assertEqual(len(self.damage), 1)
