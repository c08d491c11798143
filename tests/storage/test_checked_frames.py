"""Compressed files on their way out, from a disk that gives other bytes than were written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import zstandard
from twisted.internet.defer import CancelledError, Deferred

from gorego_tw.errors import DataLoss
from gorego_tw.storage.checked_body import Content
from gorego_tw.storage.checked_frames import CheckedFrames
from gorego_tw.storage.compressed_body import CompressedBody
from gorego_tw.zstd import seekable
from gorego_tw.zstd.seekable import FRAME_BYTES, table_bytes
from tests.storage.cold_disk import PAGE, ColdFileTestCase, Pieces
from tests.storage.compression import text
from tests.storage.test_compressed_body import expanded, make

#: What is asked of a body: all of it or a part, expanded or not.
Asked = Callable[[CompressedBody], Pieces]

SIZE = 5 * FRAME_BYTES + 1000


def frames(offset: int = 0) -> Asked:
    """The frames from there on."""
    return lambda body: body.zstd_chunks(offset)


def plain(offset: int = 0, end: int | None = None) -> Asked:
    """What they expand to."""
    return lambda body: body.chunks(offset, end)


class CheckedFramesTestCase(ColdFileTestCase):
    size_bytes = SIZE

    def setUp(self) -> None:
        self.digest, self.data = text(self.size_bytes)
        file = Path(self.mktemp())
        self.length = make(self.digest, self.data, file)
        self.kept = file.read_bytes()[: -table_bytes(self.size_bytes)]
        self.have(file)

    def body(self) -> CompressedBody:
        file = CheckedFrames(
            os.open(self.file, os.O_RDONLY),
            self.digest,
            self.length,
            inode=self.inode,
            threads=self.threads,
            damaged=self.damage.append,
            may_pass=lambda _: False,
            unverified=self.unverified,
        )
        return CompressedBody(file, self.size_bytes, self.threads, self.damage.append)

    def start(self, asked: Asked) -> tuple[Deferred[None], bytearray]:
        """A reader, and what it has."""
        data = bytearray()
        return Deferred.fromCoroutine(self.read(asked(self.body()), data)), data

    def right(self, asked: Asked) -> bytes:
        """What a reader gets who gets all."""
        reading, data = self.start(asked)
        self.threads.release()
        self.successResultOf(reading)
        return bytes(data)

    def assert_kept_back(self, asked: Asked, damage: str | None = None) -> bytearray:
        """A reader does not get all, and it is damage.

        :returns: what it gets.
        """
        told = len(self.damage)
        reading, data = self.start(asked)
        self.threads.release()
        self.failureResultOf(reading, DataLoss)
        self.assertEqual(len(self.damage), told + 1)
        if damage is not None:
            self.assertEqual(self.damage[-1], damage)
        return data

    def assert_hot(self) -> None:
        """A reader gets the frames without a thread, and so without any being expanded."""
        reading, data = self.start(frames())
        self.assertEqual(self.threads.held, [])
        self.successResultOf(reading)
        self.assertEqual(data, self.kept)


class CheckedFramesTests(CheckedFramesTestCase):
    def test_right(self) -> None:
        """What comes from the disk as it was written is given out in either form, from any offset, and
        trusted then.
        """
        for offset in (0, 1, FRAME_BYTES, FRAME_BYTES + 1, SIZE - 1):
            self.disk.forget()
            self.assertEqual(expanded(self.right(frames(offset))), self.data[offset:])
            self.assertEqual(self.unverified.files, {})
            self.assert_hot()
            self.disk.forget()
            self.assertEqual(self.right(plain(offset)), self.data[offset:])
            self.assertEqual(self.unverified.files, {})
            self.assert_hot()

    def test_verified_once(self) -> None:
        """It is compared when it comes from the disk, and not again."""
        for _ in range(2):
            self.assertEqual(self.right(frames()), self.kept)
            self.assertEqual(self.unverified.verified_bytes, len(self.kept))

    def test_expanded_once(self) -> None:
        """For who wants it expanded, no frame is expanded a second time to be compared."""
        expanding: list[int] = []
        expand = seekable.FrameDecompressor.expand

        def counted(
            decompressor: seekable.FrameDecompressor, frame: bytes | bytearray, size_bytes: int
        ) -> bytes:
            expanding.append(size_bytes)
            return expand(decompressor, frame, size_bytes)

        self.patch(seekable.FrameDecompressor, "expand", counted)
        self.assertEqual(self.right(plain()), self.data)
        self.assertEqual(sum(expanding), SIZE)

    def test_flipped(self) -> None:
        """Wherever in the frames a bit is flipped, nobody gets all of them, whole or in part, in any form."""
        count = len(self.kept)
        for position in (0, 20, count // 2, count - 300, count - 1):
            self.disk.damage(position)
            for asked, whole in ((frames(), self.kept), (plain(), self.data)):
                self.disk.forget()
                data = self.assert_kept_back(asked)
                self.assertEqual(data, whole[: len(data)])
                self.assertLess(len(data), len(whole))
            for asked in (frames(FRAME_BYTES + 5), plain(5), plain(0, 10), plain(SIZE - 5)):
                self.disk.forget()
                self.assertEqual(self.assert_kept_back(asked), b"")
            self.disk.damage(position)

    def test_read_all(self) -> None:
        """Who reads it all at once gets nothing of one that is wrong."""
        self.disk.damage(len(self.kept) - 1)
        reading = Deferred.fromCoroutine(self.body().read_all())
        self.threads.release()
        self.failureResultOf(reading, DataLoss)
        self.assertEqual(len(self.damage), 1)

    def test_table(self) -> None:
        """Another byte in the table is damage for everybody."""
        self.disk.damage(self.length - 30)
        for asked in (frames(), plain(), plain(5), plain(0, 10)):
            self.disk.forget()
            self.assertEqual(self.assert_kept_back(asked, "no table of these frames"), b"")

    def test_table_later(self) -> None:
        """So it is where the right one was in memory when the reader began."""
        pieces = self.body().zstd_chunks()
        self.disk.warm(0, self.length)
        self.take_one(pieces)
        self.disk.forget()
        self.disk.damage(self.length - 30)
        reading = Deferred.fromCoroutine(self.read(pieces, bytearray()))
        self.threads.release()
        self.failureResultOf(reading, DataLoss)

    def test_partly_in_memory(self) -> None:
        """If only what is in the middle comes from the disk, what was given out before counts too."""
        count = len(self.kept)
        for asked, whole in ((frames(), self.kept), (plain(), self.data)):
            for warm in (PAGE, FRAME_BYTES, count // 2, count - 3 * PAGE):
                self.warm_around(warm)
                self.assertEqual(self.right(asked), whole)
                for position in (0, count - PAGE - PAGE // 2):
                    self.disk.damage(position)
                    self.warm_around(warm)
                    self.assert_kept_back(asked)
                    self.disk.damage(position)

    def warm_around(self, end: int) -> None:
        """Have in memory what is before ``end``, and the table."""
        self.disk.forget()
        self.disk.warm(0, end)
        self.disk.warm(len(self.kept), self.length)

    def test_left_early(self) -> None:
        """What was read ahead for who left before the end is compared for the next one."""
        for asked, whole in ((frames(), self.kept), (plain(), self.data)):
            self.disk.forget()
            self.disk.ahead = SIZE
            self.disk.damage(len(self.kept) - 1)
            pieces = asked(self.body())
            self.take_one(pieces)
            del pieces
            self.assert_kept_back(frames())
            self.assert_kept_back(plain())
            self.disk.forget()
            self.disk.damage(len(self.kept) - 1)
            self.assertEqual(self.right(asked), whole)
            self.assert_hot()

    def test_parts_at_once(self) -> None:
        """For parts that are read at the same time all of it is compared once."""
        asked = (frames(1000), plain(2000), plain(0, 3000))
        readings = [self.start(one)[0] for one in asked]
        self.assertEqual(len(self.threads.held), 1)
        self.threads.release()
        for reading in readings:
            self.successResultOf(reading)
        self.assertEqual(self.unverified.verified_bytes, len(self.kept))

    def test_part_from_the_disk_again(self) -> None:
        """What has gone from memory after all was compared is compared when it comes again, also for a part
        that ends early.
        """
        for asked in (frames(1000), plain(1000), plain(1000, 2000), plain(0, SIZE - 1)):
            for position in (None, 0, len(self.kept) // 2, len(self.kept) - 1):
                self.disk.forget()
                whole = self.right(asked)
                self.lose_once(position)
                reading, data = self.start(asked)
                self.threads.release()
                if position is None:
                    self.successResultOf(reading)
                    self.assertEqual(data, whole)
                else:
                    self.failureResultOf(reading, DataLoss)
                    self.assertLess(len(data), len(whole))
                    self.disk.damage(position)

    def lose_once(self, position: int | None) -> None:
        """When all was compared for a part, lose it from memory, and have another byte there on the disk."""
        hash_all = Content.hash_all

        def hash_and_lose(content: Content) -> None:
            patch.restore()
            hash_all(content)
            self.disk.forget()
            if position is not None:
                self.disk.damage(position)

        self.disk.forget()
        patch = self.patch(Content, "hash_all", hash_and_lose)

    def test_cancelled(self) -> None:
        """Who goes away while a thread reads waits for the thread, and leaves no trust behind."""
        for asked in (frames(), frames(1000)):
            self.disk.forget()
            reading, _ = self.start(asked)
            reading.cancel()
            self.assertNoResult(reading)
            self.threads.release()
            self.failureResultOf(reading, CancelledError)
            self.assertEqual(len(self.unverified.files), 1)
            self.assertEqual(self.right(frames()), self.kept)

    def test_truncated(self) -> None:
        """A file that has become shorter is damage."""
        for length in (self.length - 1, len(self.kept) // 2, 5, 0):
            del self.disk.content[length:]
            for asked in (frames(), plain(), plain(5), plain(0, 10), frames(SIZE - 1)):
                self.disk.forget()
                self.assertEqual(self.assert_kept_back(asked), b"")


class OtherBlobTests(CheckedFramesTestCase):
    """Frames that are all right by themselves, and expand to another blob of that size."""

    def setUp(self) -> None:
        super().setUp()
        self.length = make(*text(SIZE, seed=1), self.file)
        self.disk.content[:] = self.file.read_bytes()

    def test_wrong_hash(self) -> None:
        """What the checksums of the frames do not show, the hash does."""
        for asked in (frames(), plain()):
            self.disk.forget()
            self.assertLess(len(self.assert_kept_back(asked, "wrong hash")), SIZE)
        for asked in (frames(1000), plain(1000), plain(0, 10)):
            self.disk.forget()
            self.assertEqual(self.assert_kept_back(asked, "wrong hash"), b"")


class OneFrameTests(CheckedFramesTestCase):
    size_bytes = 50_000

    def test_right(self) -> None:
        """A blob of one frame is verified once and given out."""
        self.assertEqual(zstandard.decompress(self.right(frames())), self.data)
        self.assert_hot()
        self.assertEqual(self.unverified.verified_bytes, len(self.kept))

    def test_flipped(self) -> None:
        """Nobody gets anything of one that is wrong."""
        for position in (0, len(self.kept) // 2, len(self.kept) - 1):
            self.disk.damage(position)
            for asked in (frames(), plain(), frames(5), plain(0, 5)):
                self.disk.forget()
                self.assertEqual(self.assert_kept_back(asked), b"")
            self.disk.damage(position)
