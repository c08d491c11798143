"""A blob on its way in."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import DigestMismatch, ResourceExhausted
from gorego_tw.storage.blob_writer import WRITE_CHUNK, BlobWriter, verified
from gorego_tw.storage.disk_threads import HeldDiskThreads, NoDiskThreads
from tests.storage.tiers import blob

P = ParamSpec("P")
T = TypeVar("T")


class WatchedThreads(NoDiskThreads):
    """Keeps what functions are given."""

    def __init__(self, given: list[object]) -> None:
        self._given = given

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """As :meth:`DiskThreads.run` says."""
        self._given.extend(args)
        return super().run(function, *args, **kwargs)


class BlobWriterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def writer(self, size_bytes: int) -> tuple[BlobWriter, bytes]:
        digest, data = blob(size_bytes)
        writer = BlobWriter(digest, str(self.path), NoDiskThreads())
        self.addCleanup(writer.close)
        return writer, data

    def test_collects(self) -> None:
        """Nothing goes to a thread before there is a chunk of it."""
        threads = HeldDiskThreads()
        digest, data = blob(2 * WRITE_CHUNK)
        writer = BlobWriter(digest, str(self.path), threads)
        self.successResultOf(writer.append(data[: WRITE_CHUNK - 1]))
        self.assertEqual((threads.held, self.path.exists()), ([], False))
        self.successResultOf(writer.append(b""))
        self.assertEqual(writer.size_bytes, WRITE_CHUNK - 1)

    def test_passes_on(self) -> None:
        """A chunk that comes in one piece goes to a thread as it is; one that others wait before does not."""
        for before, is_passed_on in ((b"", True), (b"x", False)):
            given: list[object] = []
            threads = WatchedThreads(given)
            writer = BlobWriter(blob(2 * WRITE_CHUNK)[0], None, threads)
            self.successResultOf(writer.append(before))
            piece = bytes(WRITE_CHUNK)
            self.successResultOf(writer.append(piece))
            self.assertEqual(any(argument is piece for argument in given), is_passed_on)
            self.assertEqual(writer.written_bytes, len(before) + WRITE_CHUNK)

    def test_several_pieces(self) -> None:
        """Chunks that are there together go to a thread together."""
        threads = HeldDiskThreads()
        digest, data = blob(3 * WRITE_CHUNK)
        writer = BlobWriter(digest, str(self.path), threads)
        self.addCleanup(writer.close)
        pieces = [data[at : at + WRITE_CHUNK] for at in range(0, len(data), WRITE_CHUNK)]
        appending = Deferred.fromCoroutine(writer.append_all(pieces))
        self.assertEqual(len(threads.held), 1)
        threads.release()
        self.successResultOf(appending)
        finishing = Deferred.fromCoroutine(writer.finish())
        threads.release()
        self.successResultOf(finishing)
        self.assertEqual(self.path.read_bytes(), data)

    def test_disk_full_after_some_pieces(self) -> None:
        """Of several chunks those are held that were not written, and written when there is room."""
        writer, data = self.writer(3 * WRITE_CHUNK)
        pieces = [data[at : at + WRITE_CHUNK] for at in range(0, len(data), WRITE_CHUNK)]
        pwrite = os.pwrite

        def full(fd: int, piece: bytes, offset: int) -> int:
            if offset >= WRITE_CHUNK:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return pwrite(fd, piece, offset)

        patch = self.patch(os, "pwrite", full)
        self.failureResultOf(writer.append_all(pieces), ResourceExhausted)
        self.assertEqual((writer.size_bytes, writer.written_bytes), (len(data), WRITE_CHUNK))
        patch.restore()
        self.successResultOf(writer.finish())
        self.assertEqual(self.path.read_bytes(), data)

    def test_cancelled(self) -> None:
        """A piece that was not written when its writer gave up waiting is held."""
        threads = HeldDiskThreads()
        digest, data = blob(2 * WRITE_CHUNK)
        writer = BlobWriter(digest, str(self.path.parent / "no folder" / "file"), threads)
        appending = Deferred.fromCoroutine(writer.append(data[:WRITE_CHUNK]))
        appending.cancel()
        threads.release()
        self.failureResultOf(appending, CancelledError)
        self.assertEqual((writer.size_bytes, writer.written_bytes), (WRITE_CHUNK, 0))
        self.assertEqual(bytes(writer._buffer), data[:WRITE_CHUNK])

    def test_verifies_only(self) -> None:
        """Without a path there is no file, and the blob is verified all the same."""
        digest, data = blob(2 * WRITE_CHUNK)
        for given, fails in ((data, False), (bytes(len(data)), True)):
            writer = BlobWriter(digest, None, NoDiskThreads())
            self.successResultOf(writer.append(given))
            if fails:
                self.failureResultOf(writer.finish(), DigestMismatch)
            else:
                self.successResultOf(writer.finish())

    def test_full_disk(self) -> None:
        """What a full disk refused is written when there is room again, each byte once."""
        writer, data = self.writer(3 * WRITE_CHUNK)
        self.successResultOf(writer.append(data[:WRITE_CHUNK]))
        pwrite = os.pwrite
        room = [100_000]

        def filling(fd: int, piece: memoryview, offset: int) -> int:
            if not room:
                raise OSError(28, "No space left on device")
            return pwrite(fd, bytes(piece[: room.pop()]), offset)

        patch = self.patch(os, "pwrite", filling)
        self.failureResultOf(writer.append(data[WRITE_CHUNK:-1]), ResourceExhausted)
        self.assertEqual(self.path.stat().st_size, WRITE_CHUNK)
        patch.restore()
        self.assertEqual(writer.size_bytes, 3 * WRITE_CHUNK - 1)
        self.successResultOf(writer.append(data[-1:]))
        self.successResultOf(writer.finish())
        self.assertEqual(self.path.read_bytes(), data)

    def test_too_much(self) -> None:
        """More than the blob is refused before it is taken in."""
        writer, data = self.writer(1000)
        self.successResultOf(writer.append(data))
        self.failureResultOf(writer.append(b"x"), DigestMismatch)
        self.assertEqual(writer.size_bytes, 1000)

    def test_resumed_in_turns(self) -> None:
        """Of a large file that an earlier time left only some is hashed before others have the thread, and no more
        for who has left.
        """
        digest, data = blob(3_000_000)
        self.path.write_bytes(data[:-1])
        threads = HeldDiskThreads()
        left = BlobWriter(digest, str(self.path), threads)
        self.addCleanup(left.close)
        resuming = Deferred.fromCoroutine(left.resume())
        threads.held.pop()()
        self.assertEqual(len(threads.held), 1)
        resuming.cancel()
        threads.held.pop()()
        self.failureResultOf(resuming, CancelledError)
        self.assertEqual(threads.held, [])
        writer = BlobWriter(digest, str(self.path), threads)
        self.addCleanup(writer.close)
        resuming = Deferred.fromCoroutine(writer.resume())
        threads.release()
        self.successResultOf(resuming)
        self.assertEqual(writer.size_bytes, len(data) - 1)
        finishing = Deferred.fromCoroutine(self.finish(writer, data[-1:]))
        threads.release()
        self.successResultOf(finishing)
        self.assertEqual(self.path.read_bytes(), data)

    def test_resumed_from_too_much(self) -> None:
        """Of a file that is longer than the blob nothing is taken in, and nothing stays."""
        for size_bytes in (1000, 3 * WRITE_CHUNK):
            digest, data = blob(size_bytes)
            self.path.write_bytes(data + b"more")
            writer = BlobWriter(digest, str(self.path), NoDiskThreads())
            self.addCleanup(writer.close)
            self.successResultOf(Deferred.fromCoroutine(writer.resume()))
            self.assertEqual(writer.size_bytes, 0)
            self.successResultOf(Deferred.fromCoroutine(self.finish(writer, data)))
            self.assertEqual(self.path.read_bytes(), data)

    async def finish(self, writer: BlobWriter, rest: bytes) -> None:
        """Take the rest."""
        await writer.append(rest)
        await writer.finish()

    def test_messages(self) -> None:
        """What does not fit names the blob and what was found instead."""
        digest, data = blob(10)
        error = self.assertRaises(DigestMismatch, verified, digest, data[:9])
        self.assertEqual(str(error), f"blob {digest}: the data has 9 bytes")
        other, _ = blob(10, 1)
        error = self.assertRaises(DigestMismatch, verified, other, data)
        self.assertEqual(str(error), f"blob {other}: the data has the hash {digest.hash}")
