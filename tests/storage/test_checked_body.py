"""Files on their way out, from a disk that gives other bytes than were written."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from gorego_tw.errors import DataLoss
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage import content
from gorego_tw.storage.block_sums import SUMMED_BYTES
from gorego_tw.storage.checked_body import CheckedBody
from gorego_tw.storage.file_body import FIRST_CHUNK, READ_CHUNK
from gorego_tw.storage.verified_files import VerifiedFiles
from tests.storage.cold_disk import ColdFileTestCase
from tests.storage.tiers import blob

#: Of a file that was found right before.
OTHER = "other bytes than were found right before"

SIZE = FIRST_CHUNK + 2 * READ_CHUNK + 1000


class CheckedBodyTests(ColdFileTestCase):
    def setUp(self) -> None:
        self.digest, self.data = blob(SIZE)
        file = Path(self.mktemp())
        file.write_bytes(self.data)
        self.have(file)

    def body(self) -> CheckedBody:
        return CheckedBody(
            os.open(self.file, os.O_RDONLY),
            self.digest,
            version=self.version,
            threads=self.threads,
            damaged=self.damage.append,
            may_pass=lambda _: False,
            verified=self.verified,
        )

    def start(self, offset: int = 0, end: int | None = None) -> tuple[Deferred[None], bytearray]:
        """A reader, and what it has."""
        data = bytearray()
        return Deferred.fromCoroutine(self.read(self.body().chunks(offset, end), data)), data

    def assert_right(self, offset: int = 0, end: int | None = None) -> None:
        """A reader gets the blob from there on."""
        reading, data = self.start(offset, end)
        self.threads.release()
        self.successResultOf(reading)
        self.assertEqual(data, self.data[offset:end])

    def assert_kept_back(
        self, offset: int = 0, end: int = SIZE, damage: str = "wrong hash"
    ) -> bytearray:
        """A reader does not get all of the blob.

        :returns: what it gets.
        """
        reading, data = self.start(offset, end)
        self.threads.release()
        self.failureResultOf(reading, DataLoss)
        self.assertLess(len(data), end - offset)
        self.assertEqual(self.damage[-1], damage)
        return data

    def forget_all(self) -> None:
        """As in another process, with nothing in memory."""
        self.disk.forget()
        self.verified = VerifiedFiles(Clock())

    def leave_early(self) -> None:
        """A reader takes the first piece, from the disk, and no more."""
        pieces = self.body().chunks()
        self.take_one(pieces)
        del pieces

    def test_interface(self) -> None:
        """It is a body."""
        body = self.body()
        verifyObject(IBlobBody, body)
        body.discard()

    def test_right(self) -> None:
        """What comes from the disk as it was written is given out, from any offset, and known from then on."""
        for offset in (0, 1, READ_CHUNK, SIZE - 1):
            self.forget_all()
            self.assert_right(offset)
            self.disk.warm(0, SIZE)
            self.assert_hot()
        body = self.body()
        self.assertEqual(self.successResultOf(body.read_all()), self.data)

    def assert_hot(self) -> None:
        """A reader gets the blob without a thread."""
        reading, data = self.start()
        self.assertEqual(self.threads.held, [])
        self.successResultOf(reading)
        self.assertEqual(data, self.data)

    def test_parts_of_blocks(self) -> None:
        """Whichever part of a known file is asked for is given out exactly, from memory or from the disk."""
        self.assert_right()
        edges = (
            0,
            1,
            SUMMED_BYTES - 1,
            SUMMED_BYTES,
            SUMMED_BYTES + 1,
            3 * SUMMED_BYTES,
            READ_CHUNK,
        )
        for offset in (*edges, SIZE - 1, SIZE):
            for end in (*edges, SIZE - 1, SIZE):
                self.assert_right(offset, max(offset, end))
            self.disk.forget()

    def test_wrong_anywhere(self) -> None:
        """Wherever the disk gives another byte, nobody gets the last piece, and it is damage."""
        for number, position in enumerate((0, FIRST_CHUNK, SIZE // 2, SIZE - 1), 1):
            self.disk.damage(position)
            self.disk.forget()
            self.assert_kept_back()
            self.assertEqual(len(self.damage), number)
            self.disk.forget()
            self.disk.damage(position)
        self.disk.forget()
        self.assert_right()

    def test_wrong_later(self) -> None:
        """Of a known file nobody gets a wrong byte, whoever has brought it to memory, or none at all of a block
        that has one.
        """
        self.assert_right()
        for position in (0, FIRST_CHUNK, SIZE // 2, SIZE - 1):
            self.disk.damage(position)
            for is_in_memory in (True, False):
                self.disk.forget()
                if is_in_memory:
                    self.disk.warm(0, SIZE)
                data = self.assert_kept_back(damage=OTHER)
                self.assertEqual(data, self.data[: len(data)])
                self.assertEqual(self.assert_kept_back(position, position + 1, OTHER), b"")
            self.disk.damage(position)

    def test_in_memory_before(self) -> None:
        """What others have brought to memory before the first read is compared with the hash."""
        self.disk.damage(SIZE - 1)
        self.disk.warm(0, SIZE)
        self.assert_kept_back()
        self.assertEqual(self.assert_kept_back(0, 10), b"")

    def test_read_all(self) -> None:
        """Nor does who reads it all at once get anything."""
        self.disk.damage(SIZE - 1)
        reading = Deferred.fromCoroutine(self.body().read_all())
        self.threads.release()
        self.failureResultOf(reading, DataLoss)
        self.assertEqual(self.damage, ["wrong hash"])

    def test_left_early(self) -> None:
        """What was brought to memory for who left before the end is compared for the next one."""
        self.disk.ahead = SIZE
        self.disk.damage(SIZE - 1)
        self.leave_early()
        self.assert_kept_back()
        self.assert_kept_back()
        self.disk.forget()
        self.disk.damage(SIZE - 1)
        self.assert_right()
        self.assert_hot()

    def test_known_meanwhile(self) -> None:
        """Who has begun to read an unknown file compares it to its end, though another one has found it right."""
        pieces = self.body().chunks()
        self.take_one(pieces)
        self.assert_right()
        self.disk.forget()
        self.disk.damage(SIZE - 1)
        reading = Deferred.fromCoroutine(self.read(pieces, bytearray()))
        self.threads.release()
        self.failureResultOf(reading, DataLoss)

    def test_readers_at_once(self) -> None:
        """Several who read the same file from the disk are all kept from the end of it, or all get it."""
        for wrong in (False, True):
            self.forget_all()
            if wrong:
                self.disk.damage(SIZE // 2)
            readings = [self.start(offset) for offset in (0, 0, 1000, READ_CHUNK)]
            self.threads.release()
            for reading, _ in readings:
                if wrong:
                    self.failureResultOf(reading, DataLoss)
                else:
                    self.successResultOf(reading)
        self.assertEqual(len(self.damage), 4)

    def test_part(self) -> None:
        """Who begins later in the blob gets nothing of one that is wrong before or behind that."""
        for position in (0, SIZE - 1):
            self.disk.forget()
            self.disk.damage(position)
            self.assertEqual(self.assert_kept_back(offset=READ_CHUNK), b"")
            self.disk.damage(position)

    def test_part_that_ends_early(self) -> None:
        """So it is with who begins at the start and ends before the end."""
        self.disk.damage(SIZE - 1)
        self.assertEqual(self.assert_kept_back(0, SIZE - 1), b"")
        self.disk.forget()
        self.disk.damage(SIZE - 1)
        self.assert_right(0, 10)

    def test_parts_at_once(self) -> None:
        """For parts that are read at the same time all of it is hashed once."""
        readings = [self.start(offset) for offset in (1000, 2000, 3000)]
        self.assertEqual(len(self.threads.held), 1)
        self.threads.release()
        for (reading, data), offset in zip(readings, (1000, 2000, 3000), strict=True):
            self.successResultOf(reading)
            self.assertEqual(data, self.data[offset:])
        self.assertEqual(self.verified.hashed_bytes, SIZE)

    def test_part_of_a_large_file(self) -> None:
        """For a part of a large file others have the thread again and again, and nothing is hashed for who has left."""
        self.patch(content, "_PIECE_BYTES", 64 * 1024)
        reading, _ = self.start(1000)
        self.threads.held.pop()()
        self.assertNoResult(reading)
        self.assertEqual(len(self.threads.held), 1)
        reading.cancel()
        self.threads.held.pop()()
        self.failureResultOf(reading, CancelledError)
        self.assertEqual(self.threads.held, [])
        self.assertLess(self.verified.hashed_bytes, SIZE)

    def test_part_from_the_disk_again(self) -> None:
        """What has gone from memory after all was hashed is compared when it comes again."""
        pieces = self.body().chunks(1000)
        self.take_one(pieces)
        self.disk.forget()
        self.disk.damage(SIZE - 1)
        reading = Deferred.fromCoroutine(self.read(pieces, bytearray()))
        self.threads.release()
        self.failureResultOf(reading, DataLoss)
        self.assertEqual(self.damage, [OTHER])

    def test_hashed_once(self) -> None:
        """However it is read after that, nothing is hashed a second time."""
        self.assert_right()
        for offset in (0, 0, 1000):
            self.disk.forget()
            self.assert_right(offset)
        self.assertEqual(self.verified.hashed_bytes, SIZE)

    def test_cancelled(self) -> None:
        """Who goes away while a thread reads waits for the thread, and leaves no trust behind."""
        for offset in (0, 1000):
            self.forget_all()
            reading, _ = self.start(offset)
            reading.cancel()
            self.assertNoResult(reading)
            self.threads.release()
            self.failureResultOf(reading, CancelledError)
            self.assertIsNone(self.verified.sums(self.version))
            self.assert_right()

    def test_first_of_the_parts_cancelled(self) -> None:
        """If the one for whom all is hashed goes away, the next one lets it be hashed."""
        first, (second, data) = self.start(1000)[0], self.start(2000)
        first.cancel()
        self.threads.release()
        self.failureResultOf(first, CancelledError)
        self.successResultOf(second)
        self.assertEqual(data, self.data[2000:])

    def test_truncated(self) -> None:
        """A file that has become shorter is damage, known or not, for who wants all or a part."""
        truncated = "truncated while it was read"
        whole = bytes(self.disk.content)
        del self.disk.content[READ_CHUNK:]
        self.assert_kept_back(damage=truncated)
        self.assertEqual(self.assert_kept_back(0, 10), b"")
        self.disk.content[:] = whole
        self.disk.forget()
        self.assert_right()
        del self.disk.content[READ_CHUNK:]
        self.disk.forget()
        self.assert_kept_back(damage=truncated)
        self.assert_kept_back(SIZE - 10, damage=truncated)
