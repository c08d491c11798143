"""Tests of gorego_tw.storage.arrival."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import AsyncIterator

from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, DigestMismatch, ResourceExhausted, Unavailable
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage import reading as storage_reading
from gorego_tw.storage.arrival import MOST_UNWRITTEN_BYTES, Arrival
from gorego_tw.storage.blob_writer import WRITE_CHUNK
from gorego_tw.storage.disk_threads import HeldDiskThreads
from gorego_tw.storage.records import INLINE_LIMIT
from gorego_tw.storage.tail import TAIL_BYTES
from gorego_tw.waiting_line import WIDTH
from tests.storage.test_local import failing
from tests.storage.tiers import LIMIT_BYTES, SIZES, TierTestCase, blob, open_files, read

#: Larger than what stays in memory.
LARGE = TAIL_BYTES + 4 * WRITE_CHUNK + 1000


class Reading:
    """One reader that takes all it gets, unless it is told to read step by step.

    :ivar data: what it got.
    :ivar end: fires when it has got all, or fails.
    """

    def __init__(self, body: IBlobBody, offset: int = 0) -> None:
        self.data = bytearray()
        self.pieces: AsyncIterator[bytes | memoryview] = body.chunks(offset)
        self.end: Deferred[None] = Deferred()

    def all(self) -> Reading:
        """Read to the end."""
        self.end = Deferred.fromCoroutine(self._read())
        return self

    async def step(self) -> None:
        """Read a piece."""
        self.data += await anext(self.pieces)

    async def _read(self) -> None:
        async for piece in self.pieces:
            self.data += piece


class ArrivalTestCase(TierTestCase):
    """Has a blob that arrives."""

    def setUp(self) -> None:
        super().setUp()
        self.before = open_files()

    def open(self, size_bytes: int = LARGE) -> Arrival:
        """Begin to take in a blob of that size."""
        self.digest, self.data = blob(size_bytes)
        return self.tier.arrivals.open(self.digest)

    def append(self, arrival: Arrival, start: int, end: int, piece_bytes: int = 100_000) -> None:
        """Append a part of the blob, in pieces; nothing has to wait."""
        for at in range(start, end, piece_bytes):
            data = self.data[at : min(at + piece_bytes, end)]
            self.successResultOf(arrival.append(data))

    def finish(self, arrival: Arrival) -> None:
        """Store it and tell the readers."""
        self.successResultOf(arrival.finish())
        arrival.complete()

    def assert_nothing_left(self) -> None:
        """No room is reserved, no file is left nor open."""
        self.assertEqual(self.tier.space.reserved_bytes, 0)
        self.assertEqual(self.left_for_good(), [])
        self.assertEqual(open_files(), self.before)

    def assert_absent(self, digest: Digest) -> None:
        """The store has no such blob."""
        self.assertIsNone(self.tier.inventory.find(digest))


class ReadingTests(ArrivalTestCase):
    def test_role(self) -> None:
        """What readers get is a body of the blob's size."""
        body = self.open().body()
        self.assertTrue(verifyObject(IBlobBody, body))
        self.assertEqual(body.size_bytes, LARGE)
        body.discard()

    def test_sizes(self) -> None:
        """A blob of any size is read as it arrives, whatever the pieces are, and then is in the store."""
        for size_bytes in SIZES:
            for piece_bytes in (4096, 100_000, 1024 * 1024):
                arrival = self.open(size_bytes)
                reading = Reading(arrival.body()).all()
                self.append(arrival, 0, size_bytes, piece_bytes)
                self.finish(arrival)
                self.successResultOf(reading.end)
                self.assertEqual(reading.data, self.data)
                self.assertEqual(
                    self.successResultOf(read(self.tier.blobs, self.digest)), self.data
                )
                self.assert_nothing_left()
                self.tier.inventory.evict([self.digest.key])
                self.successResultOf(self.tier.empty_trash())

    def test_as_they_arrive(self) -> None:
        """Readers get each piece when it comes."""
        arrival = self.open()
        readings = [Reading(arrival.body()).all() for _ in range(3)]
        self.append(arrival, 0, 10)
        self.assertEqual([reading.data for reading in readings], [self.data[:10]] * 3)
        self.append(arrival, 10, 20)
        self.assertEqual([reading.data for reading in readings], [self.data[:20]] * 3)
        self.successResultOf(arrival.abandon(Unavailable("enough")))
        for reading in readings:
            self.failureResultOf(reading.end, Unavailable)

    def test_late(self) -> None:
        """A late reader begins at the beginning, at once, also where that is in the file alone."""
        arrival = self.open()
        self.append(arrival, 0, LARGE - 1)
        reading = Reading(arrival.body()).all()
        self.assertEqual(reading.data, self.data[:-1])
        self.append(arrival, LARGE - 1, LARGE)
        self.finish(arrival)
        self.successResultOf(reading.end)
        self.assertEqual(reading.data, self.data)
        self.assert_nothing_left()

    def test_cold(self) -> None:
        """What is in the file but not in memory is read in a thread."""
        self.patch(storage_reading, "_NOWAIT", None)
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        self.before = open_files()
        arrival = self.open()
        reading = Reading(arrival.body())
        appending = Deferred.fromCoroutine(self._append_all(arrival))
        threads.release()
        self.successResultOf(appending)
        reading.all()
        self.assertEqual((len(reading.data), len(threads.held)), (0, 1))
        threads.release()
        self.successResultOf(reading.end)
        self.assertEqual(reading.data, self.data)

    async def _append_all(self, arrival: Arrival) -> None:
        for at in range(0, LARGE, 100_000):
            await arrival.append(self.data[at : at + 100_000])
        await arrival.finish()
        arrival.complete()

    def test_offsets(self) -> None:
        """Each reader begins where it wants to; one beyond what is there waits."""
        arrival = self.open()
        readings = [Reading(arrival.body(), at).all() for at in (5, 50, LARGE)]
        self.append(arrival, 0, 20)
        self.assertEqual([bytes(reading.data) for reading in readings], [self.data[5:20], b"", b""])
        self.successResultOf(readings[2].end)
        self.append(arrival, 20, LARGE)
        self.finish(arrival)
        self.assertEqual(readings[1].data, self.data[50:])

    def test_slow(self) -> None:
        """A reader that takes nothing keeps neither the sender nor other readers waiting, and gets all later."""
        arrival = self.open()
        slow = Reading(arrival.body())
        quick = Reading(arrival.body()).all()
        self.append(arrival, 0, 10)
        self.successResultOf(slow.step())
        self.append(arrival, 10, LARGE)
        self.finish(arrival)
        self.successResultOf(quick.end)
        self.assertEqual(quick.data, self.data)
        self.assertNotEqual(open_files(), self.before)
        self.successResultOf(slow.all().end)
        self.assertEqual(slow.data, self.data)
        self.assert_nothing_left()

    def test_evicted(self) -> None:
        """Who reads already goes on when the blob is evicted meanwhile."""
        arrival = self.open()
        reading = Reading(arrival.body())
        self.append(arrival, 0, LARGE)
        self.finish(arrival)
        self.tier.inventory.evict([self.digest.key])
        self.successResultOf(self.tier.empty_trash())
        self.successResultOf(reading.all().end)
        self.assertEqual(reading.data, self.data)
        self.assert_nothing_left()

    def test_leaving(self) -> None:
        """A reader that leaves changes nothing for the others, and tells so once."""
        arrival = self.open()
        left: list[int] = []
        leaving = Reading(arrival.body(lambda: left.append(1)))
        staying = Reading(arrival.body()).all()
        self.append(arrival, 0, 10)
        self.successResultOf(leaving.step())
        waiting = Deferred.fromCoroutine(leaving.step())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual((left, arrival.readers), ([1], 1))
        self.append(arrival, 10, LARGE)
        self.finish(arrival)
        self.assertEqual(staying.data, self.data)
        del leaving, waiting
        gc.collect()
        self.assertEqual((left, arrival.readers), ([1], 0))

    def test_ways_to_leave(self) -> None:
        """A body discarded, closed before or while it is read, or dropped: each is left once."""
        arrival = self.open()
        left: list[str] = []
        arrival.body(lambda: left.append("dropped"))
        arrival.body(lambda: left.append("discarded")).discard()
        for name, steps in (("closed unread", 0), ("closed", 1)):
            reading = Reading(arrival.body(lambda name=name: left.append(name)))  # type: ignore[misc]
            self.append(arrival, 10 * steps, 10 * steps + 10)
            for _ in range(steps):
                self.successResultOf(reading.step())
            self.successResultOf(reading.pieces.aclose())  # type: ignore[attr-defined]
        self.assertEqual(left, ["dropped", "discarded", "closed unread", "closed"])
        self.assertEqual(arrival.readers, 0)

    def test_whole(self) -> None:
        """A reader may ask for the whole blob at once."""
        arrival = self.open()
        whole = Deferred.fromCoroutine(arrival.body().read_all())
        self.append(arrival, 0, LARGE)
        self.assertNoResult(whole)
        self.finish(arrival)
        self.assertEqual(self.successResultOf(whole), self.data)
        self.assert_nothing_left()

    def test_many(self) -> None:
        """Of many readers WIDTH are woken in a turn; the others find what came meanwhile in one piece."""
        arrival = self.open()
        readings = [Reading(arrival.body()).all() for _ in range(WIDTH + 1)]
        self.append(arrival, 0, 10)
        self.append(arrival, 10, 20)
        sizes = [len(reading.data) for reading in readings]
        self.assertEqual(sizes, [10] * WIDTH + [0])
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual([len(reading.data) for reading in readings], [20] * (WIDTH + 1))


class StoringTests(ArrivalTestCase):
    def test_visible_when_verified(self) -> None:
        """Neither the store nor a reader has all of the blob before it is verified and stored."""
        arrival = self.open()
        reading = Reading(arrival.body()).all()
        self.append(arrival, 0, LARGE)
        self.assert_absent(self.digest)
        self.assertLess(len(reading.data), LARGE)
        self.assertNoResult(reading.end)
        self.successResultOf(arrival.finish())
        self.assertIsNotNone(self.tier.inventory.find(self.digest))
        self.assertNoResult(reading.end)
        arrival.complete()
        self.successResultOf(reading.end)

    def test_small(self) -> None:
        """A blob for the index never makes a file, a small one none before it is finished."""
        for size_bytes in (0, INLINE_LIMIT, WRITE_CHUNK):
            arrival = self.open(size_bytes)
            self.append(arrival, 0, size_bytes)
            self.assertEqual(self.left_behind(), [])
            self.finish(arrival)
            self.assertEqual(self.path(self.digest).exists(), size_bytes > INLINE_LIMIT)
            self.assert_nothing_left()

    def test_damaged_meanwhile(self) -> None:
        """Who is behind, and reads from the file what the disk gives otherwise than it was written, or no more,
        gets none of that.
        """
        for damage in (
            lambda file: os.pwrite(file, b"?", 200_000),
            lambda file: os.truncate(file, 9),
        ):
            arrival = self.open()
            self.append(arrival, 0, LARGE - 1)
            (name,) = self.left_behind()
            with (self.folder / "uploads" / name).open("r+b") as file:
                damage(file.fileno())
            reading = Reading(arrival.body()).all()
            self.failureResultOf(reading.end, DataLoss)
            self.assertEqual(reading.data, self.data[: len(reading.data)])
            self.successResultOf(arrival.abandon(Unavailable("enough")))
            self.assert_nothing_left()

    def test_wrong_hash(self) -> None:
        """Other bytes of that size are refused; readers end with what they are told, and nothing is kept."""
        for size_bytes in (100, 100_000, LARGE):
            arrival = self.open(size_bytes)
            self.data = blob(size_bytes, seed=1)[1]
            reading = Reading(arrival.body()).all()
            self.append(arrival, 0, size_bytes)
            self.failureResultOf(arrival.finish(), DigestMismatch)
            self.assertNoResult(reading.end)
            self.successResultOf(arrival.abandon(DataLoss("wrong hash")))
            self.failureResultOf(reading.end, DataLoss)
            self.assertLess(len(reading.data), size_bytes)
            self.assert_absent(self.digest)
            self.assert_nothing_left()

    def test_wrong_size(self) -> None:
        """Too many bytes are refused at once, too few at the end."""
        for appended in (100, 102):
            arrival = self.open(101)
            if appended < 101:
                self.append(arrival, 0, appended)
                self.failureResultOf(arrival.finish(), DigestMismatch)
            else:
                self.failureResultOf(arrival.append(bytes(appended)), DigestMismatch)
            self.successResultOf(arrival.abandon(DataLoss("wrong size")))
            self.assert_absent(self.digest)
            self.assert_nothing_left()

    def test_abandoned(self) -> None:
        """Readers end with the failure it is abandoned with, whether they wait or not, also later ones."""
        arrival = self.open()
        waiting = Reading(arrival.body()).all()
        behind = Reading(arrival.body())
        self.append(arrival, 0, LARGE - 1)
        self.successResultOf(arrival.abandon(Unavailable("backing cache: gone")))
        for reading in (waiting, behind.all(), Reading(arrival.body()).all()):
            error = self.failureResultOf(reading.end, Unavailable).value
            self.assertEqual(str(error), "backing cache: gone")
        self.assert_nothing_left()

    def test_there_already(self) -> None:
        """A blob that came another way meanwhile stays as it is."""
        for size_bytes in (100, 100_000):
            arrival = self.open(size_bytes)
            self.append(arrival, 0, size_bytes)
            self.put(size_bytes)
            reading = Reading(arrival.body())
            self.finish(arrival)
            self.successResultOf(reading.all().end)
            self.assertEqual(reading.data, self.data)
            self.assert_nothing_left()

    def test_no_room(self) -> None:
        """A blob there is no room for is refused at the beginning."""
        with self.assertRaises(ResourceExhausted):
            self.open_of(LIMIT_BYTES + 1)
        self.assertEqual(self.tier.space.reserved_bytes, 0)

    def open_of(self, size_bytes: int) -> Arrival:
        """Begin to take in a blob that only says its size."""
        return self.tier.arrivals.open(Digest(blob(1)[0].key, size_bytes))

    def test_reserved(self) -> None:
        """Room is reserved from the beginning to the end."""
        arrival = self.open_of(1_000_000)
        self.assertGreaterEqual(self.tier.space.reserved_bytes, 1_000_000)
        self.successResultOf(arrival.abandon(Unavailable("gone")))
        self.assert_nothing_left()

    def test_full_disk(self) -> None:
        """A disk that fills up is told to the sender as soon as more waits for it than there is memory for."""
        arrival = self.open()
        self.patch(os, "pwrite", failing(errno.ENOSPC))
        self.append(arrival, 0, MOST_UNWRITTEN_BYTES, WRITE_CHUNK)
        self.failureResultOf(arrival.append(b"x"), ResourceExhausted)
        self.successResultOf(arrival.abandon(Unavailable("full")))
        self.assert_nothing_left()

    def test_full_for_a_moment(self) -> None:
        """A disk that has room again before that is told nobody, and the blob is kept."""
        arrival = self.open()
        reading = Reading(arrival.body()).all()
        self.append(arrival, 0, WRITE_CHUNK, WRITE_CHUNK)
        patch = self.patch(os, "pwrite", failing(errno.ENOSPC))
        self.append(arrival, WRITE_CHUNK, 3 * WRITE_CHUNK, WRITE_CHUNK)
        patch.restore()
        self.append(arrival, 3 * WRITE_CHUNK, LARGE)
        self.finish(arrival)
        self.successResultOf(reading.end)
        self.assertEqual(reading.data, self.data)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)
        self.assert_nothing_left()

    def test_full_from_the_beginning(self) -> None:
        """What memory has room for is read all the same, whatever pieces it came in."""
        self.patch(os, "pwrite", failing(errno.ENOSPC))
        for size_bytes in (
            WRITE_CHUNK,
            WRITE_CHUNK + 1,
            3 * WRITE_CHUNK + 10,
            MOST_UNWRITTEN_BYTES,
        ):
            arrival = self.open(size_bytes)
            reading = Reading(arrival.body()).all()
            self.append(arrival, 0, size_bytes)
            self.assertFalse(self.successResultOf(arrival.finish()))
            arrival.complete()
            self.successResultOf(reading.end)
            self.assertEqual(reading.data, self.data)
            self.assert_absent(self.digest)
            self.assert_nothing_left()

    def test_full_at_the_end(self) -> None:
        """A disk that is full at the end leaves nothing behind; what is in memory as a whole is read all the
        same, if it is the blob.
        """
        patch = self.patch(os, "pwrite", failing(errno.ENOSPC))
        arrival = self.open(100_000)
        reading = Reading(arrival.body()).all()
        self.append(arrival, 0, 100_000)
        self.assertFalse(self.successResultOf(arrival.finish()))
        arrival.complete()
        self.successResultOf(reading.end)
        self.assertEqual(reading.data, self.data)
        self.assert_absent(self.digest)
        self.assert_nothing_left()
        arrival = self.open(100_000)
        self.successResultOf(arrival.append(bytes(100_000)))
        self.failureResultOf(arrival.finish(), DigestMismatch)
        self.successResultOf(arrival.abandon(Unavailable("wrong")))
        patch.restore()
        arrival = self.open(3 * WRITE_CHUNK + 10)
        self.append(arrival, 0, 3 * WRITE_CHUNK + 10)
        reading = Reading(arrival.body()).all()
        self.patch(os, "pwrite", failing(errno.ENOSPC))
        self.assertFalse(self.successResultOf(arrival.finish()))
        arrival.complete()
        self.successResultOf(reading.end)
        self.assertEqual(reading.data, self.data)
        self.assert_absent(self.digest)
        self.assert_nothing_left()

    def test_index_without_room(self) -> None:
        """What the index has no room for is verified, and read to its end, and leaves nothing behind."""

        def full(*_args: object) -> None:
            raise ResourceExhausted("local tier: the index is full")

        self.patch(self.tier.inventory, "add_inline", full)
        self.patch(self.tier.inventory, "add_file", full)
        for size_bytes in (10, LARGE):
            arrival = self.open(size_bytes)
            reading = Reading(arrival.body()).all()
            self.append(arrival, 0, size_bytes)
            self.assertFalse(self.successResultOf(arrival.finish()))
            arrival.complete()
            self.successResultOf(reading.end)
            self.assertEqual(reading.data, self.data)
            self.assert_absent(self.digest)
            self.assert_nothing_left()

    def test_after_a_crash(self) -> None:
        """What a crash leaves of a blob is gone at the next start."""
        arrival = self.open()
        self.append(arrival, 0, LARGE - 1)
        self.assertEqual(len(self.left_behind()), 1)
        self.reopen()
        self.assertEqual(self.left_for_good(), [])
        self.assert_absent(self.digest)


class SlowDiskTests(ArrivalTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.threads = HeldDiskThreads()
        self.reopen(threads=self.threads)
        self.before = open_files()

    def test_no_waiting(self) -> None:
        """The sender does not wait for a disk that is less than MOST_UNWRITTEN_BYTES behind, nor do readers."""
        arrival = self.open()
        reading = Reading(arrival.body()).all()
        self.append(arrival, 0, MOST_UNWRITTEN_BYTES)
        self.assertEqual(len(reading.data), MOST_UNWRITTEN_BYTES)
        self.assertEqual(len(self.threads.held), 1)

    def test_back_pressure(self) -> None:
        """Beyond that the sender waits, readers do not."""
        arrival = self.open()
        reading = Reading(arrival.body()).all()
        self.append(arrival, 0, MOST_UNWRITTEN_BYTES)
        appending = Deferred.fromCoroutine(arrival.append(b"x"))
        self.assertNoResult(appending)
        self.assertEqual(len(reading.data), MOST_UNWRITTEN_BYTES + 1)
        self.threads.held.pop(0)()
        self.successResultOf(appending)
        self.assertEqual(len(self.threads.held), 1)

    def test_abandoned(self) -> None:
        """Readers are told at once, but the file is not closed while a thread writes it."""
        arrival = self.open()
        reading = Reading(arrival.body()).all()
        self.append(arrival, 0, MOST_UNWRITTEN_BYTES)
        abandoning = Deferred.fromCoroutine(arrival.abandon(Unavailable("gone")))
        self.failureResultOf(reading.end, Unavailable)
        self.assertNoResult(abandoning)
        self.assertGreater(self.tier.space.reserved_bytes, 0)
        self.threads.held.pop(0)()
        self.assertEqual(self.threads.held, [])
        self.successResultOf(abandoning)
        self.assert_nothing_left()

    def test_finish(self) -> None:
        """The end waits for what is being written, and then writes the rest."""
        arrival = self.open(MOST_UNWRITTEN_BYTES)
        self.append(arrival, 0, MOST_UNWRITTEN_BYTES)
        finishing = Deferred.fromCoroutine(arrival.finish())
        self.assertEqual(len(self.threads.held), 1)
        self.threads.release()
        self.successResultOf(finishing)
        arrival.complete()
        self.assertEqual(self.path(self.digest).read_bytes(), self.data)
        self.assert_nothing_left()

    def test_last_piece_in_the_file(self) -> None:
        """A reader that is far behind gets no more than the others while the blob is verified."""
        size_bytes = (
            LARGE - LARGE % WRITE_CHUNK
        )  # so that all is in the file before the hash is compared
        arrival = self.open(size_bytes)
        self.data = self.data[:-1] + b"x"
        reading = Reading(arrival.body())
        sending = Deferred.fromCoroutine(self._append(arrival))
        self.threads.release()
        self.successResultOf(sending)
        self.successResultOf(arrival.append(self.data[-1:]))
        finishing = Deferred.fromCoroutine(arrival.finish())
        while not finishing.called:
            self.threads.held.pop(0)()
            self._take_all_there_is(reading)
        self.failureResultOf(finishing, DigestMismatch)
        self.assertEqual(len(reading.data), size_bytes - 1)
        self.successResultOf(arrival.abandon(DataLoss("wrong hash")))

    def _take_all_there_is(self, reading: Reading) -> None:
        step = Deferred.fromCoroutine(reading.step())
        while step.called:
            self.successResultOf(step)
            step = Deferred.fromCoroutine(reading.step())
        step.addErrback(lambda failure: failure.trap(DataLoss) and None)

    def test_cancelled(self) -> None:
        """A sender that is cancelled, while it appends or finishes, can abandon."""
        for size_bytes in (LARGE, 100_000):
            arrival = self.open(size_bytes)
            sending = Deferred.fromCoroutine(self._send(arrival))
            self.assertEqual(len(self.threads.held), 1)
            sending.cancel()
            self.threads.release()
            self.failureResultOf(sending, CancelledError)
            self.assert_absent(self.digest)
            self.assert_nothing_left()

    async def _send(self, arrival: Arrival) -> None:
        try:
            for at in range(0, len(self.data), 100_000):
                await arrival.append(self.data[at : at + 100_000])
            await arrival.finish()
        except CancelledError as error:
            await arrival.abandon(error)
            raise

    def test_cold_reader_keeps_the_file(self) -> None:
        """The file stays open for a reader that is in a thread when the blob is abandoned."""
        self.patch(storage_reading, "_NOWAIT", None)
        arrival = self.open()
        sending = Deferred.fromCoroutine(self._append(arrival))
        self.threads.release()
        self.successResultOf(sending)
        reading = Reading(arrival.body()).all()
        self.assertEqual(len(self.threads.held), 1)
        self.successResultOf(arrival.abandon(Unavailable("gone")))
        self.assertNotEqual(open_files(), self.before)
        self.threads.release()
        self.failureResultOf(reading.end, Unavailable)
        self.assertEqual(reading.data, self.data[: len(reading.data)])
        self.assert_nothing_left()

    async def _append(self, arrival: Arrival) -> None:
        for at in range(0, len(self.data) - 1, 100_000):
            await arrival.append(self.data[at : min(at + 100_000, len(self.data) - 1)])
