"""Compressed files on their way out, from a disk that gives other bytes than were written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import zstandard
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import DataLoss
from gorego_tw.storage import content
from gorego_tw.storage.checked_frames import CheckedFrames
from gorego_tw.storage.compressed_body import CompressedBody
from gorego_tw.storage.verified_files import VerifiedFiles
from gorego_tw.zstd import seekable
from gorego_tw.zstd.seekable import FRAME_BYTES, table_bytes
from tests.storage.cold_disk import ColdFileTestCase, Pieces
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


#: All of it and parts of it, in both forms.
ASKED = (frames(), frames(FRAME_BYTES + 5), plain(), plain(5), plain(0, 10), plain(SIZE - 5))


class CheckedFramesTestCase(ColdFileTestCase):
    size_bytes = SIZE

    def setUp(self) -> None:
        self.digest, self.data = self.blob()
        file = Path(self.mktemp())
        self.length = make(self.digest, self.data, file)
        self.kept = file.read_bytes()[: -table_bytes(self.size_bytes)]
        self.have(file)

    def blob(self) -> tuple[Digest, bytes]:
        """What is in the file."""
        return text(self.size_bytes)

    def body(self) -> CompressedBody:
        file = CheckedFrames(
            os.open(self.file, os.O_RDONLY),
            self.digest,
            self.length,
            version=self.version,
            threads=self.threads,
            damaged=self.damage.append,
            may_pass=lambda _: False,
            verified=self.verified,
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

    def forget_all(self) -> None:
        """As in another process, with nothing in memory."""
        self.disk.forget()
        self.verified = VerifiedFiles(Clock())

    def assert_hot(self) -> None:
        """A reader gets the frames without a thread, and so without any being expanded."""
        reading, data = self.start(frames())
        self.assertEqual(self.threads.held, [])
        self.successResultOf(reading)
        self.assertEqual(data, self.kept)


class CheckedFramesTests(CheckedFramesTestCase):
    def test_right(self) -> None:
        """What comes from the disk as it was written is given out in either form, from any offset, and
        known from then on.
        """
        for offset in (0, 1, FRAME_BYTES, FRAME_BYTES + 1, SIZE - 1):
            self.forget_all()
            self.assertEqual(expanded(self.right(frames(offset))), self.data[offset:])
            self.assert_hot()
            self.forget_all()
            self.assertEqual(self.right(plain(offset)), self.data[offset:])
            self.assert_hot()

    def test_verified_once(self) -> None:
        """It is compared with the hash when it is read for the first time, and not again."""
        for asked in (frames(), frames(), plain(), plain(5), frames(FRAME_BYTES)):
            self.disk.forget()
            self.right(asked)
            self.assertEqual(self.verified.hashed_bytes, len(self.kept))

    def test_wrong_later(self) -> None:
        """Wherever a bit is flipped afterwards, also in the table, nobody gets a wrong byte of it, in any form."""
        whole = {}
        for asked in ASKED:
            whole[asked] = self.right(asked)
        for position in (0, len(self.kept) // 2, len(self.kept) - 1, self.length - 30):
            self.disk.damage(position)
            self.disk.forget()
            self.disk.warm(0, self.length)
            for asked in (ASKED[0], ASKED[2]):
                data = self.assert_kept_back(asked, "other bytes than were found right before")
                self.assertTrue(whole[asked].startswith(data))
            for asked in ASKED:
                reading, data = self.start(asked)
                reading.addErrback(lambda failure: failure.trap(DataLoss))
                self.threads.release()
                self.assertTrue(whole[asked].startswith(data))
            self.disk.damage(position)

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

    def test_left_early(self) -> None:
        """What was read ahead for who left before the end is compared for the next one."""
        for asked, whole in ((frames(), self.kept), (plain(), self.data)):
            self.forget_all()
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
        self.assertEqual(self.verified.hashed_bytes, len(self.kept))

    def test_cancelled(self) -> None:
        """Who goes away while a thread reads waits for the thread, and leaves no trust behind."""
        for asked in (frames(), frames(1000)):
            self.forget_all()
            reading, _ = self.start(asked)
            reading.cancel()
            self.assertNoResult(reading)
            self.threads.release()
            self.failureResultOf(reading, CancelledError)
            self.assertIsNone(self.verified.sums(self.version))
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


class ShortFramesTests(CheckedFramesTestCase):
    """Frames of a few bytes, which expand to ten thousand times as much."""

    size_bytes = 40 * FRAME_BYTES

    def blob(self) -> tuple[Digest, bytes]:
        """Zeros."""
        data = bytes(self.size_bytes)
        return digest_of(data, DigestFunction.SHA256), data

    def test_in_turns(self) -> None:
        """Others have the thread again and again, though there is little to be read."""
        self.patch(content, "_LEAST_PIECE_BYTES", 50)
        for asked in (frames(), frames(FRAME_BYTES), plain(0, 10)):
            self.forget_all()
            reading, data = self.start(asked)
            turns = 0
            while self.threads.held:
                self.threads.held.pop()()
                turns += 1
            self.successResultOf(reading)
            self.assertGreater(turns, 5)
            self.assertTrue(data)


class OneFrameTests(CheckedFramesTestCase):
    size_bytes = 50_000

    def test_right(self) -> None:
        """A blob of one frame is verified once and given out."""
        self.assertEqual(zstandard.decompress(self.right(frames())), self.data)
        self.assert_hot()
        self.assertEqual(self.verified.hashed_bytes, len(self.kept))

    def test_flipped(self) -> None:
        """Nobody gets anything of one that is wrong."""
        for position in (0, len(self.kept) // 2, len(self.kept) - 1):
            self.disk.damage(position)
            for asked in (frames(), plain(), frames(5), plain(0, 5)):
                self.disk.forget()
                self.assertEqual(self.assert_kept_back(asked), b"")
            self.disk.damage(position)
