"""Tests of gorego_tw.storage.compressed_body."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import zstandard
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss
from gorego_tw.interfaces import ICompressedBody
from gorego_tw.storage import reading as storage_reading
from gorego_tw.storage.checked_frames import CheckedFrames
from gorego_tw.storage.compressed_body import CompressedBody
from gorego_tw.storage.disk_threads import DiskThreads, HeldDiskThreads, NoDiskThreads
from gorego_tw.storage.file_body import READ_CHUNK
from gorego_tw.storage.frame_file import FrameFile
from gorego_tw.storage.records import COMPRESSED, BlobRecord
from gorego_tw.storage.verified_files import VerifiedFiles, version_of
from gorego_tw.zstd.seekable import FRAME_BYTES, FrameCompressor, table_bytes
from tests.storage.compression import text
from tests.storage.tiers import open_files

SIZE = 3 * FRAME_BYTES + 1000
OFFSETS = (0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES, SIZE - 1, SIZE)


def expanded(frames: bytes) -> bytes:
    """What a client makes of frames."""
    reader = zstandard.ZstdDecompressor().stream_reader(frames, read_across_frames=True)
    return reader.read()


async def joined(pieces: AsyncIterator[bytes | memoryview]) -> bytes:
    """All of them, each taken before the next is asked for."""
    data = bytearray()
    async with closing(pieces):
        async for piece in pieces:
            assert 0 < len(piece) <= READ_CHUNK
            data += piece
    return bytes(data)


async def first_of(pieces: AsyncIterator[bytes | memoryview]) -> bytes:
    """The first of them."""
    async with closing(pieces):
        return bytes(await anext(pieces))


class CompressedBodyTestCase(SynchronousTestCase):
    """Has a compressed file of a blob."""

    size_bytes = SIZE

    def setUp(self) -> None:
        self.digest, self.data = text(self.size_bytes)
        self.file = Path(self.mktemp())
        self.length = make(self.digest, self.data, self.file)
        self.damage: list[str] = []
        self.verified = VerifiedFiles(Clock())
        self.before = open_files()

    def body(self, threads: DiskThreads | None = None) -> CompressedBody:
        """The blob."""
        threads = threads or NoDiskThreads()
        fd = os.open(self.file, os.O_RDONLY)
        file = CheckedFrames(
            fd,
            self.digest,
            self.file.stat().st_size,
            version=version_of(self.digest.key, BlobRecord(0, COMPRESSED, self.size_bytes, 1, 1)),
            threads=threads,
            damaged=self.damage.append,
            may_pass=lambda _: False,
            verified=self.verified,
        )
        return CompressedBody(file, self.size_bytes, threads, self.damage.append)

    def flip(self, position: int) -> None:
        """Change a byte of the file."""
        with self.file.open("r+b") as file:
            file.seek(position)
            (byte,) = file.read(1)
            file.seek(position)
            file.write(bytes([byte ^ 1]))

    def tearDown(self) -> None:
        """However a body was left, its file is closed."""
        self.assertEqual(open_files(), self.before)


def make(digest: Digest, data: bytes, path: Path) -> int:
    """Write the compressed file of a blob; its length."""
    source = path.with_suffix(".source")
    source.write_bytes(data)
    file = FrameFile(digest, str(source), str(path), FrameCompressor())
    length = file.make()
    file.close()
    assert length is not None
    return length


class CompressedBodyTests(CompressedBodyTestCase):
    def test_interface(self) -> None:
        """It is a body that is kept compressed."""
        body = self.body()
        verifyObject(ICompressedBody, body)
        self.assertEqual((body.size_bytes, body.is_one_frame), (SIZE, False))
        body.discard()

    def test_expanded(self) -> None:
        """From any offset on its bytes come as if it were no compressed file."""
        for offset in OFFSETS:
            found = self.successResultOf(joined(self.body().chunks(offset)))
            self.assertEqual(found, self.data[offset:])
        self.assertEqual(self.successResultOf(self.body().read_all()), self.data)

    def test_part(self) -> None:
        """So does a part, of which no frame is expanded that is behind its end."""
        for offset in OFFSETS:
            for end in (*OFFSETS, None):
                found = self.successResultOf(joined(self.body().chunks(offset, end)))
                self.assertEqual(found, self.data[offset:end])

    def test_frames(self) -> None:
        """From any offset on they come as frames that any client expands."""
        for offset in OFFSETS:
            frames = self.successResultOf(joined(self.body().zstd_chunks(offset)))
            self.assertEqual(expanded(frames), self.data[offset:])

    def test_frames_are_those_of_the_file(self) -> None:
        """From its beginning on nothing is compressed anew, and the table is not given out."""
        frames = self.successResultOf(joined(self.body().zstd_chunks()))
        kept = self.file.read_bytes()
        self.assertEqual(frames, kept[: self.length - table_bytes(SIZE)])

    def test_offset_costs_one_frame(self) -> None:
        """In the middle of a frame its rest is compressed anew, and the others are as they are kept."""
        frames = self.successResultOf(joined(self.body().zstd_chunks(FRAME_BYTES + 1)))
        whole = self.successResultOf(joined(self.body().zstd_chunks(2 * FRAME_BYTES)))
        self.assertTrue(frames.endswith(whole))

    def test_large_frames_are_expanded_in_threads(self) -> None:
        """The reactor turns while 256 KiB are expanded; the last 1,000 bytes are done at once."""
        self.successResultOf(self.body().read_all())
        threads = HeldDiskThreads()
        reading = Deferred.fromCoroutine(self.body(threads).read_all())
        for _ in range(3):
            self.assertNoResult(reading)
            threads.held.pop(0)()
        self.assertEqual(self.successResultOf(reading), self.data)

    def test_cold(self) -> None:
        """What is not in memory is read in threads."""
        self.patch(storage_reading, "_NOWAIT", None)
        threads = HeldDiskThreads()
        reading = Deferred.fromCoroutine(joined(self.body(threads).zstd_chunks()))
        self.assertNoResult(reading)
        threads.release()
        self.assertEqual(expanded(self.successResultOf(reading)), self.data)

    def test_left(self) -> None:
        """A reader that leaves before, or while, it reads leaves nothing open."""
        for steps in (0, 1):
            for name in ("chunks", "zstd_chunks"):
                pieces = getattr(self.body(), name)(5)
                for _ in range(steps):
                    self.successResultOf(anext(pieces))
                self.successResultOf(pieces.aclose())
                self.assertEqual(open_files(), self.before)
        self.body().discard()

    def test_cancelled(self) -> None:
        """The file stays open until the thread that expands has ended."""
        threads = HeldDiskThreads()
        reading = Deferred.fromCoroutine(joined(self.body(threads).chunks()))
        reading.cancel()
        self.assertNoResult(reading)
        threads.release()
        self.failureResultOf(reading, CancelledError)


class OneFrameTests(CompressedBodyTestCase):
    size_bytes = 50_000

    def test_one_frame(self) -> None:
        """A small blob is one frame, which any decoder expands without knowing of several."""
        body = self.body()
        self.assertTrue(body.is_one_frame)
        frame = self.successResultOf(joined(body.zstd_chunks()))
        self.assertEqual(zstandard.decompress(frame), self.data)


class DamageTests(CompressedBodyTestCase):
    """Damage to the file ends a read in DATA_LOSS and is told, before a wrong byte is given out."""

    def assert_damaged(self) -> None:
        self.failureResultOf(self.body().read_all(), DataLoss)
        self.assertEqual(len(self.damage), 1)

    def test_flipped(self) -> None:
        """Another byte in a frame."""
        self.flip(self.length // 2)
        body = self.body()
        self.assertEqual(self.successResultOf(first_of(body.chunks())), self.data[:FRAME_BYTES])
        body.discard()
        self.assertEqual(self.damage, [])
        self.assert_damaged()

    def test_table(self) -> None:
        """Another byte in the table, for those who want frames, too."""
        self.flip(self.length - 3)
        self.assert_damaged()
        self.failureResultOf(joined(self.body().zstd_chunks()), DataLoss)

    def test_cut(self) -> None:
        """A file that is shorter, be it than its table."""
        for length in (self.length - 1, 5):
            self.damage.clear()
            os.truncate(self.file, length)
            self.assert_damaged()

    def test_unreadable(self) -> None:
        """A disk that cannot read it."""

        def fail(*_: object) -> int:
            raise OSError(errno.EIO, "gone")

        self.patch(os, "preadv", fail)
        self.assert_damaged()
