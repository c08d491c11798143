"""Files on their way out, from a disk that gives other bytes than were written."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from gorego_tw.errors import DataLoss
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage.checked_body import CheckedBody, Content
from gorego_tw.storage.file_body import FIRST_CHUNK, READ_CHUNK
from tests.storage.cold_disk import PAGE, ColdFileTestCase
from tests.storage.tiers import blob

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
            inode=self.inode,
            threads=self.threads,
            damaged=self.damage.append,
            may_pass=lambda _: False,
            unverified=self.unverified,
        )

    def start(self, offset: int = 0) -> tuple[Deferred[None], bytearray]:
        """A reader, and what it has."""
        data = bytearray()
        return Deferred.fromCoroutine(self.read(self.body().chunks(offset), data)), data

    def assert_right(self, offset: int = 0) -> None:
        """A reader gets the blob from there on."""
        reading, data = self.start(offset)
        self.threads.release()
        self.successResultOf(reading)
        self.assertEqual(data, self.data[offset:])

    def assert_kept_back(self, offset: int = 0) -> bytearray:
        """A reader does not get all of the blob.

        :returns: what it gets.
        """
        reading, data = self.start(offset)
        self.threads.release()
        self.failureResultOf(reading, DataLoss)
        self.assertLess(len(data), SIZE - offset)
        self.assertEqual(self.damage[-1], "wrong hash")
        return data

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
        """What comes from the disk as it was written is given out, from any offset, and trusted then."""
        for offset in (0, 1, READ_CHUNK, SIZE - 1, SIZE):
            self.disk.forget()
            self.assert_right(offset)
            self.assertEqual(self.unverified.files, {})
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

    def test_read_all(self) -> None:
        """Nor does who reads it all at once get anything."""
        self.disk.damage(SIZE - 1)
        reading = Deferred.fromCoroutine(self.body().read_all())
        self.threads.release()
        self.failureResultOf(reading, DataLoss)
        self.assertEqual(self.damage, ["wrong hash"])

    def test_partly_in_memory(self) -> None:
        """If only the rest comes from the disk, what was given out before counts too."""
        for warm in (PAGE, FIRST_CHUNK, FIRST_CHUNK + READ_CHUNK + PAGE, SIZE - PAGE):
            self.disk.forget()
            self.disk.warm(0, warm)
            self.assert_right()
            self.disk.forget()
            self.disk.warm(0, warm)
            self.disk.damage(SIZE - 1)
            self.assert_kept_back()
            self.disk.damage(SIZE - 1)

    def test_read_ahead(self) -> None:
        """What the disk has read ahead when it was asked for the piece before is not trusted either."""
        self.disk.ahead = SIZE
        self.disk.damage(SIZE - 1)
        self.assert_kept_back()

    def test_left_early(self) -> None:
        """What was brought to memory for who left before the end is compared for the next one, who
        finds all of it there.
        """
        self.disk.ahead = SIZE
        self.disk.damage(SIZE - 1)
        self.leave_early()
        self.assert_kept_back()
        self.assert_kept_back()
        self.disk.forget()
        self.disk.damage(SIZE - 1)
        self.assert_right()
        self.assert_hot()

    def test_reader_beside(self) -> None:
        """Who had begun in memory, and goes on in what another one has brought there, gets no wrong byte."""
        self.disk.warm(0, FIRST_CHUNK)
        self.disk.damage(SIZE - 1)
        pieces = self.body().chunks()
        self.take_one(pieces)
        self.assertEqual(self.unverified.files, {})
        self.disk.forget()
        self.disk.ahead = SIZE
        self.leave_early()
        reading = Deferred.fromCoroutine(self.read(pieces, bytearray()))
        self.threads.release()
        self.failureResultOf(reading, DataLoss)

    def test_readers_at_once(self) -> None:
        """Several who read the same file from the disk are all kept from the end of it, or all get it."""
        for wrong in (False, True):
            self.disk.forget()
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
        data = bytearray()
        reading = Deferred.fromCoroutine(self.read(self.body().chunks(0, SIZE - 1), data))
        self.threads.release()
        self.failureResultOf(reading, DataLoss)
        self.assertEqual(data, b"")
        self.disk.forget()
        self.disk.damage(SIZE - 1)
        reading = Deferred.fromCoroutine(self.read(self.body().chunks(0, 10), data))
        self.threads.release()
        self.successResultOf(reading)
        self.assertEqual(data, self.data[:10])

    def test_parts_at_once(self) -> None:
        """For parts that are read at the same time all of it is hashed once."""
        readings = [self.start(offset) for offset in (1000, 2000, 3000)]
        self.assertEqual(len(self.threads.held), 1)
        self.threads.release()
        for (reading, data), offset in zip(readings, (1000, 2000, 3000), strict=True):
            self.successResultOf(reading)
            self.assertEqual(data, self.data[offset:])
        self.assertEqual(self.unverified.verified_bytes, SIZE)

    def test_part_from_the_disk_again(self) -> None:
        """What has gone from memory after all was hashed is compared when it comes again."""
        reading, data = self.start(1000)
        self.threads.held.pop(0)()
        self.disk.forget()
        self.threads.release()
        self.successResultOf(reading)
        self.assertEqual(data, self.data[1000:])
        pieces = self.body().chunks(1000)
        self.disk.forget()
        self.take_one(pieces)
        self.disk.forget()
        self.disk.damage(SIZE - 1)
        reading = Deferred.fromCoroutine(self.read(pieces, bytearray()))
        self.threads.release()
        self.failureResultOf(reading, DataLoss)

    def test_early_end_from_the_disk_again(self) -> None:
        """If that part ends early, its last piece is kept back until what is behind it was compared, too."""
        for position in (0, READ_CHUNK, SIZE - 1, None):
            self.lose_once(position)
            data = bytearray()
            reading = Deferred.fromCoroutine(self.read(self.body().chunks(1000, SIZE - 9), data))
            self.threads.release()
            if position is None:
                self.successResultOf(reading)
                self.assertEqual(data, self.data[1000 : SIZE - 9])
            else:
                self.failureResultOf(reading, DataLoss)
                self.assertLess(len(data), SIZE - 1009)
                self.disk.damage(position)

    def lose_once(self, position: int | None, length: int = SIZE) -> None:
        """When all was hashed for a part, lose it from memory, and then have it so on the disk."""
        hash_all = Content.hash_all

        def hash_and_lose(content: Content) -> None:
            patch.restore()
            hash_all(content)
            self.disk.forget()
            del self.disk.content[length:]
            if position is not None:
                self.disk.damage(position)

        self.disk.forget()
        patch = self.patch(Content, "hash_all", hash_and_lose)

    def test_early_end_truncated(self) -> None:
        """So it is with one that has become shorter behind that part."""
        self.lose_once(None, length=READ_CHUNK)
        data = bytearray()
        reading = Deferred.fromCoroutine(self.read(self.body().chunks(0, 10), data))
        self.threads.release()
        self.failureResultOf(reading, DataLoss)
        self.assertEqual(data, b"")

    def test_cancelled(self) -> None:
        """Who goes away while a thread reads waits for the thread, and leaves no trust behind."""
        for offset in (0, 1000):
            self.disk.forget()
            reading, _ = self.start(offset)
            reading.cancel()
            self.assertNoResult(reading)
            self.threads.release()
            self.failureResultOf(reading, CancelledError)
            self.assertIn(self.inode, self.unverified.files)
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
        """A file that has become shorter is damage."""
        del self.disk.content[READ_CHUNK:]
        reading, _ = self.start()
        self.threads.release()
        self.failureResultOf(reading, DataLoss)
        self.assertEqual(self.damage, ["truncated while it was read"])
