"""Tests of gorego_tw.replication.flights and flight: one fetch per blob, however many read it."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import AsyncIterator
from contextvars import ContextVar

from google.rpc.error_details_pb2 import RetryInfo
from twisted.internet.defer import CancelledError, Deferred

from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, NotFound, PermissionDenied, ResourceExhausted, Unavailable
from gorego_tw.interfaces import IBlobBody
from gorego_tw.replication.flight import FIRST_BYTES, State
from gorego_tw.replication.flights import GRACE_SECONDS, MOST_DESERTED, Flights
from gorego_tw.replication.unkept import Places
from gorego_tw.storage.arrival import Arrival
from gorego_tw.storage.blob_writer import WRITE_CHUNK
from gorego_tw.storage.disk_threads import DiskThreads, HeldDiskThreads
from gorego_tw.storage.records import INLINE_LIMIT
from tests.calls import carrying
from tests.replication.hand_fed import HandFedBody, HandFedCache
from tests.storage.tiers import TierTestCase, blob, open_files, read

SIZE = 3_000_000

#: Anything that a call may have in its context.
_OTHER: ContextVar[str] = ContextVar("other")


class Reader:
    """One who asks for a blob and reads it.

    :ivar body: fires with the body.
    :ivar data: what was read.
    :ivar end: fires when all was read, or fails.
    """

    def __init__(self, flights: Flights, digest: Digest) -> None:
        self.data = bytearray()
        self.end: Deferred[None] = Deferred.fromCoroutine(self._read(flights, digest))

    def leave(self) -> None:
        """Go away before the end."""
        self.end.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self.end.cancel()

    async def _read(self, flights: Flights, digest: Digest) -> None:
        body = await flights.get(digest)
        async with closing(body.chunks()) as pieces:
            async for piece in pieces:
                self.data += piece


class FlightsTestCase(TierTestCase):
    """Has a backing cache and fetches from it."""

    def setUp(self) -> None:
        super().setUp()
        self.waiting: list[Deferred[None]] = []
        self.digest, self.data = blob(SIZE)
        self.begin()

    def begin(self) -> None:
        """Take the tier that is open."""
        self.cache = HandFedCache()
        self.flights = Flights(self.cache.fetch, self.tier.arrivals, clock=self.clock)
        self.before = open_files()
        self.addCleanup(self.end, self.flights, self.tier.threads)

    def end(self, flights: Flights, threads: DiskThreads) -> None:
        """Let nothing be under way at the end of a test."""
        for waiting in self.waiting:
            waiting.addErrback(lambda _: None)
        closing_flights = Deferred.fromCoroutine(flights.close())
        if isinstance(threads, HeldDiskThreads):
            threads.release()
        self.successResultOf(closing_flights)

    def reader(self) -> Reader:
        """One who reads the blob."""
        reader = Reader(self.flights, self.digest)
        self.waiting.append(reader.end)
        return reader

    def get(self) -> Deferred[IBlobBody]:
        """Ask for the blob."""
        return Deferred.fromCoroutine(self.flights.get(self.digest))

    def send(self, body: HandFedBody, start: int, end: int) -> None:
        """Send a part of the blob."""
        for at in range(start, end, 200_000):
            body.send(self.data[at : min(at + 200_000, end)])

    def send_all(self, body: HandFedBody) -> None:
        """Send the blob."""
        self.send(body, 0, len(self.data))
        body.end()

    def is_kept(self) -> bool:
        """Whether the store has the blob."""
        return self.tier.inventory.find(self.digest) is not None

    def assert_all_over(self, *outcomes: State) -> None:
        """Nothing is under way, reserved, open or left behind; and so the fetches ended."""
        self.assertEqual(self.flights.in_flight, 0)
        self.assertEqual(list(self.flights.outcomes.elements()), list(outcomes))
        self.assertEqual(self.flights.started, len(outcomes))
        self.assertEqual(self.tier.space.reserved_bytes, 0)
        self.assertEqual(self.left_for_good(), [])
        gc.collect()
        self.assertEqual(open_files(), self.before)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SharingTests(FlightsTestCase):
    def test_one_read(self) -> None:
        """Many who read a blob at the same time make one read of the backing cache, and all get all of it."""
        readers = [self.reader() for _ in range(200)]
        self.assertEqual(self.cache.asked, [self.digest])
        body = self.cache.answer()
        self.send_all(body)
        self.clock.advance(0)
        for reader in readers:
            self.successResultOf(reader.end)
            self.assertEqual(reader.data, self.data)
        self.assertEqual(self.cache.asked, [self.digest])
        self.assertEqual((self.flights.started, self.flights.joined), (1, 199))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)
        self.assertTrue(body.closed)
        self.assert_all_over(State.COMPLETED)

    def test_sizes(self) -> None:
        """A blob of any size, in the index or a file, in one piece or many, comes and stays."""
        for size_bytes in (0, 1, INLINE_LIMIT, INLINE_LIMIT + 1, WRITE_CHUNK, WRITE_CHUNK + 1):
            self.digest, self.data = blob(size_bytes)
            self.begin()
            reader = self.reader()
            self.send_all(self.cache.answer())
            self.successResultOf(reader.end)
            self.assertEqual(reader.data, self.data)
            self.assertTrue(self.is_kept())
            self.assert_all_over(State.COMPLETED)

    def test_other_blob(self) -> None:
        """Another blob is another fetch."""
        self.reader()
        self.digest = blob(SIZE, seed=1)[0]
        self.reader()
        self.assertEqual(len(self.cache.asked), 2)
        self.assertEqual(self.flights.in_flight, 2)

    def test_first_bytes(self) -> None:
        """Who asks gets the body with the first bytes, and each byte as it arrives."""
        asking = self.get()
        body = self.cache.answer()
        joining = self.get()
        self.assertNoResult(asking)
        self.assertNoResult(joining)
        body.send(self.data[:10])
        self.successResultOf(joining).discard()
        pieces = self.successResultOf(asking).chunks()
        self.assertEqual(self.successResultOf(self._next(pieces)), self.data[:10])
        following = Deferred.fromCoroutine(self._next(pieces))
        self.assertNoResult(following)
        body.send(self.data[10:30])
        self.assertEqual(self.successResultOf(following), self.data[10:30])

    def test_large_first_piece(self) -> None:
        """All who wait get the beginning of a large first piece before anybody gets more of it."""
        readers = [self.reader() for _ in range(3)]
        seen: list[list[int]] = []
        append = Arrival.append

        async def noting(arrival: Arrival, piece: bytes | memoryview) -> None:
            seen.append([len(reader.data) for reader in readers])
            await append(arrival, piece)

        self.patch(Arrival, "append", noting)
        self.cache.answer().send(self.data[: 4 * FIRST_BYTES])
        self.assertEqual(seen, [[0] * 3, [FIRST_BYTES] * 3])
        self.assertEqual([len(reader.data) for reader in readers], [4 * FIRST_BYTES] * 3)

    async def _next(self, pieces: AsyncIterator[bytes | memoryview]) -> bytes:
        return bytes(await anext(pieces))

    def test_late(self) -> None:
        """A late reader begins at the beginning, at once."""
        early = self.reader()
        body = self.cache.answer()
        self.send(body, 0, SIZE - 1000)
        late = self.reader()
        self.assertEqual(late.data, self.data[: SIZE - 1000])
        self.send(body, SIZE - 1000, SIZE)
        body.end()
        for reader in (early, late):
            self.successResultOf(reader.end)
            self.assertEqual(reader.data, self.data)
        self.assert_all_over(State.COMPLETED)

    def test_slow(self) -> None:
        """A reader that takes its time slows neither the others nor the fetch, and gets all."""
        asking, quick = self.get(), self.reader()
        self.send_all(self.cache.answer())
        self.successResultOf(quick.end)
        self.assertTrue(self.is_kept())
        whole = self.successResultOf(self.successResultOf(asking).read_all())
        self.assertEqual(whole, self.data)
        del asking
        self.assert_all_over(State.COMPLETED)

    def test_metadata(self) -> None:
        """The fetch carries the metadata of the call that began it, and nothing else of it."""
        for name in ("first", "second"):
            context = carrying(("name", name))
            context.run(_OTHER.set, name)
            context.run(self.reader)
        self.assertEqual(self.cache.metadata, [(("name", "first"),)])
        self.assertEqual(self.cache.contexts[0].get(_OTHER), None)


class LeavingTests(FlightsTestCase):
    def test_others_stay(self) -> None:
        """A reader that leaves changes nothing for the others, whether it waits for the first byte or a later one."""
        early, staying, later = self.reader(), self.reader(), self.reader()
        early.leave()
        body = self.cache.answer()
        self.send(body, 0, 1000)
        later.leave()
        self.clock.advance(2 * GRACE_SECONDS)
        self.send(body, 1000, SIZE)
        body.end()
        self.successResultOf(staying.end)
        self.assertEqual(staying.data, self.data)
        self.assertEqual(later.data, self.data[:1000])
        self.assert_all_over(State.COMPLETED)

    def test_last_leaves(self) -> None:
        """When the last one has left, the fetch goes on for the grace period and is cancelled then."""
        first, last = self.reader(), self.reader()
        body = self.cache.answer()
        self.send(body, 0, WRITE_CHUNK)
        first.leave()
        last.leave()
        self.clock.advance(GRACE_SECONDS - 1)
        self.assertFalse(body.closed)
        self.assertEqual(self.flights.in_flight, 1)
        self.clock.advance(1)
        self.assertTrue(body.closed)
        self.assertFalse(self.is_kept())
        self.assert_all_over(State.CANCELLED)

    def test_before_the_answer(self) -> None:
        """The same is true while the backing cache has not answered."""
        self.reader().leave()
        self.clock.advance(GRACE_SECONDS - 1)
        self.assertEqual(self.cache.unanswered, 1)
        self.clock.advance(1)
        self.assertEqual(self.cache.unanswered, 0)
        self.assert_all_over(State.CANCELLED)

    def test_completes_in_time(self) -> None:
        """A fetch that completes within the grace period keeps the blob."""
        reader = self.reader()
        body = self.cache.answer()
        self.send(body, 0, 1000)
        reader.leave()
        self.clock.advance(GRACE_SECONDS - 1)
        self.send(body, 1000, SIZE)
        body.end()
        self.assertTrue(self.is_kept())
        self.assert_all_over(State.COMPLETED)

    def test_joined_in_time(self) -> None:
        """Who comes within the grace period saves the fetch, and has the whole period when leaving."""
        self.reader().leave()
        self.clock.advance(GRACE_SECONDS - 1)
        second = self.reader()
        self.clock.advance(GRACE_SECONDS)
        self.assertEqual(self.cache.unanswered, 1)
        second.leave()
        self.clock.advance(GRACE_SECONDS - 1)
        self.assertEqual(self.cache.unanswered, 1)
        self.clock.advance(1)
        self.assert_all_over(State.CANCELLED)

    def test_grace_seconds(self) -> None:
        """The grace period is what the settings say."""
        self.flights = Flights(
            self.cache.fetch, self.tier.arrivals, clock=self.clock, grace_seconds=0.0
        )
        self.reader().leave()
        self.clock.advance(0)
        self.assert_all_over(State.CANCELLED)

    def test_unread(self) -> None:
        """A body discarded or dropped unread has left."""
        for drop in (False, True):
            self.begin()
            asking = self.get()
            body = self.cache.answer()
            body.send(self.data[:10])
            if drop:
                self.successResultOf(asking)
            else:
                self.successResultOf(asking).discard()
            del asking
            gc.collect()
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(GRACE_SECONDS)
            self.assert_all_over(State.CANCELLED)

    def test_again_after_cancelling(self) -> None:
        """Who comes after the fetch was cancelled begins anew, even if a thread is at work for the old one."""
        self.digest, self.data = blob(100_000)
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        self.begin()
        reader = self.reader()
        self.send_all(self.cache.answer())
        self.assertEqual(len(threads.held), 1)
        reader.leave()
        self.clock.advance(GRACE_SECONDS)
        again = self.reader()
        self.assertEqual((self.flights.in_flight, len(self.cache.asked)), (2, 2))
        self.send_all(self.cache.answer())
        threads.release()
        self.successResultOf(again.end)
        self.assertEqual(again.data, self.data)
        self.assert_all_over(State.CANCELLED, State.COMPLETED)

    def test_most_deserted(self) -> None:
        """Of many fetches that nobody reads, the oldest is cancelled for one more."""
        for seed in range(MOST_DESERTED + 1):
            self.digest = blob(1000, seed)[0]
            self.reader().leave()
        self.digest = blob(1000, 0)[0]
        again = self.reader()
        self.assertEqual(len(self.cache.asked), MOST_DESERTED + 2)
        self.clock.advance(0)
        self.assertEqual(self.flights.in_flight, MOST_DESERTED + 1)
        again.leave()
        self.clock.advance(GRACE_SECONDS)
        self.assert_all_over(*[State.CANCELLED] * (MOST_DESERTED + 2))


class FailureTests(FlightsTestCase):
    def test_absent(self) -> None:
        """Absence is told to all who wait."""
        waiting = [self.get() for _ in range(3)]
        self.cache.refuse(NotFound("backing cache: no such blob"))
        for waiter in waiting:
            self.failureResultOf(waiter, NotFound)
        self.assert_all_over(State.ABSENT)

    def test_before_the_first_byte(self) -> None:
        """A failure before the first byte is what asking ends with."""
        waiting = [self.get(), self.get()]
        self.cache.answer().fail(Unavailable("backing cache: reset"))
        for waiter in waiting:
            self.failureResultOf(waiter, Unavailable)
        self.assert_all_over(State.FAILED)

    def test_absent_midway(self) -> None:
        """That a blob is gone is heard at once or midway, also of one that is not kept."""
        gone: list[Digest] = []
        self.flights._absent = gone.append
        reader = self.reader()
        body = self.cache.answer()
        self.send(body, 0, SIZE // 2)
        body.fail(NotFound("backing cache: no such blob"))
        self.failureResultOf(reader.end, NotFound)
        self.assertEqual(gone, [self.digest])
        self.failureResultOf(self.refused_at_once(), NotFound)
        self.assertEqual(gone, [self.digest] * 2)

    def refused_at_once(self) -> Deferred[IBlobBody]:
        """A fetch of what is not there."""
        waiter = self.get()
        self.cache.refuse(NotFound("backing cache: no such blob"))
        return waiter

    def test_told_together(self) -> None:
        """Who makes others leave when it is told of the end, or of the first bytes, keeps nobody from it."""
        first, second, third = (self.get() for _ in range(3))
        first.addBoth(lambda _: second.cancel())
        self.cache.refuse(Unavailable("backing cache: down"))
        self.failureResultOf(second, CancelledError)
        self.failureResultOf(third, Unavailable)
        first, second, third = (self.get() for _ in range(3))

        def leave(body: IBlobBody) -> None:
            second.cancel()
            body.discard()

        first.addCallback(leave)
        body = self.cache.answer()
        self.send(body, 0, 200_000)
        self.failureResultOf(second, CancelledError)
        self.successResultOf(third).discard()
        (flight,) = self.flights._running
        self.assertEqual(flight.readers, 0)

    def test_refused(self) -> None:
        """A refusal is told to those whose rights were refused; the others share a fetch with theirs."""
        bad, good = carrying(("authorization", "bad")), carrying(("authorization", "good"))
        refused = [bad.run(self.get) for _ in range(2)]
        others = [good.run(self.get) for _ in range(2)]
        self.cache.refuse(PermissionDenied("backing cache: not you"))
        for waiter in refused:
            self.failureResultOf(waiter, PermissionDenied)
        body = self.cache.answer()
        body.send(self.data[:10])
        for waiter in others:
            self.successResultOf(waiter).discard()
        self.assertEqual(
            self.cache.metadata, [(("authorization", "bad"),), (("authorization", "good"),)]
        )

    def test_midway(self) -> None:
        """A failure midway is what all readers end with, and nothing is kept."""
        readers = [self.reader() for _ in range(3)]
        body = self.cache.answer()
        self.send(body, 0, SIZE // 2)
        body.fail(Unavailable("backing cache: reset"))
        for reader in readers:
            error = self.failureResultOf(reader.end, Unavailable).value
            self.assertEqual(str(error), "backing cache: reset")
            self.assertEqual(reader.data, self.data[: SIZE // 2])
        self.assertTrue(body.closed)
        self.assertFalse(self.is_kept())
        self.assert_all_over(State.FAILED)

    def test_not_inherited(self) -> None:
        """Who asks later, even because of the failure, begins a fetch of their own."""
        first = self.get()
        again: list[Deferred[IBlobBody]] = []
        first.addErrback(lambda _: again.append(self.get()))
        second = self.get()
        self.cache.refuse(Unavailable("backing cache: down"))
        self.failureResultOf(second, Unavailable)
        body = self.cache.answer()
        body.send(self.data[:10])
        self.successResultOf(again[0]).discard()
        self.assertEqual(len(self.cache.asked), 2)

    def test_not_inherited_midway(self) -> None:
        """The same is true of readers that ask again because of a failure midway."""
        reader = self.reader()
        again: list[Reader] = []
        reader.end.addErrback(lambda _: again.append(self.reader()))
        body = self.cache.answer()
        self.send(body, 0, 1000)
        body.fail(Unavailable("backing cache: reset"))
        self.send_all(self.cache.answer())
        self.assertEqual(again[0].data, self.data)
        self.assert_all_over(State.FAILED, State.COMPLETED)

    def test_wrong_hash(self) -> None:
        """Other bytes are a loss of data to all readers, which none has to the end; and are not kept."""
        for size_bytes in (100, 100_000, SIZE):
            self.digest = blob(size_bytes)[0]
            self.data = blob(size_bytes, seed=1)[1]
            self.begin()
            readers = [self.reader() for _ in range(3)]
            self.send_all(self.cache.answer())
            for reader in readers:
                error = self.failureResultOf(reader.end, DataLoss).value
                self.assertRegex(str(error), f"^backing cache: blob {self.digest}: .* hash ")
                self.assertLess(len(reader.data), size_bytes)
            self.assertFalse(self.is_kept())
            self.assert_all_over(State.CORRUPT)

    def test_wrong_size(self) -> None:
        """So are too few and too many bytes."""
        for sent in (self.data[:-1], self.data[:1000], self.data + b"x", b""):
            self.begin()
            reader = self.reader()
            body = self.cache.answer()
            if sent:
                body.send(sent)
            body.end()
            self.failureResultOf(reader.end, DataLoss)
            self.assertFalse(self.is_kept())
            self.assert_all_over(State.CORRUPT)

    def test_found_damaged_there(self) -> None:
        """What was seen to be wrong before it was passed on counts as wrong, too."""
        reader = self.reader()
        self.cache.refuse(DataLoss("backing cache: wrong hash"))
        self.failureResultOf(reader.end, DataLoss)
        self.assert_all_over(State.CORRUPT)

    def test_full_disk(self) -> None:
        """A disk that fills up midway is told to the readers as it is; the next one asks again."""
        reader = self.reader()
        body = self.cache.answer()

        def full(*_args: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        self.patch(os, "pwrite", full)
        self.send(body, 0, SIZE)
        error = self.failureResultOf(reader.end, ResourceExhausted).value
        self.assertEqual(str(error), "local tier: No space left on device")
        self.assertTrue(body.closed)
        self.assert_all_over(State.FAILED)
        self.reader()
        self.assertEqual(len(self.cache.asked), 2)

    def test_our_own_fault(self) -> None:
        """An unforeseen failure is told to readers; if there are none, it is in the log."""
        reader = self.reader()
        self.cache.answer().fail(ValueError("a bug"))
        self.failureResultOf(reader.end, ValueError)
        self.assert_all_over(State.FAILED)
        self.reader().leave()
        self.cache.answer().fail(ValueError("a bug"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class NoRoomTests(FlightsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reopen(limit_bytes=2_000_000)
        self.begin()

    def test_passed_on(self) -> None:
        """What there is no room for is passed on without being kept, to each reader in a read of its own."""
        readers = [self.reader(), self.reader()]
        bodies = [self.cache.answer(), self.cache.answer()]
        for body in bodies:
            self.send_all(body)
        for reader in readers:
            self.successResultOf(reader.end)
            self.assertEqual(reader.data, self.data)
        self.assertTrue(all(body.closed for body in bodies))
        self.assertFalse(self.is_kept())
        self.assertEqual(len(self.cache.asked), 2)
        self.assert_all_over(State.UNKEPT, State.UNKEPT)

    def test_verified(self) -> None:
        """It is verified all the same."""
        readers = [self.reader(), self.reader()]
        self.data = blob(SIZE, seed=1)[1]
        for _ in readers:
            self.send_all(self.cache.answer())
        for reader in readers:
            self.failureResultOf(reader.end, DataLoss)
            self.assertLess(len(reader.data), SIZE)
        self.assertEqual(self.flights.outcomes[State.CORRUPT], 2)

    def test_nobody_there(self) -> None:
        """If everybody has left meanwhile, the body is let go."""
        self.reader().leave()
        self.assertTrue(self.cache.answer().closed)
        self.assert_all_over(State.UNKEPT)

    def test_cancelled(self) -> None:
        """A reader that leaves lets go of the body."""
        reader = self.reader()
        body = self.cache.answer()
        self.send(body, 0, 1000)
        reader.leave()
        self.assertTrue(body.closed)
        self.assert_all_over(State.UNKEPT)

    def test_places(self) -> None:
        """So many are passed on at a time; who comes then is told to come again, and what to do."""
        self.flights.unkept = Places(2)
        readers = [self.reader() for _ in range(4)]
        bodies = [self.cache.answer(), self.cache.answer()]
        for reader in readers[2:]:
            error = self.failureResultOf(reader.end, ResourceExhausted).value
            self.assertIn("raise local_cache.max_size_gb", str(error))
            self.assertEqual([type(detail) for detail in error.details], [RetryInfo])
        late = self.reader()
        refused = self.cache.answer()
        self.failureResultOf(late.end, ResourceExhausted)
        self.assertTrue(refused.closed)
        for body, reader in zip(bodies, readers, strict=False):
            self.send_all(body)
            self.successResultOf(reader.end)
        self.assertEqual((self.flights.unkept.taken, self.flights.unkept.refusals), (0, 3))
        self.assert_all_over(State.UNKEPT, State.UNKEPT, State.FAILED)

    def test_places_given_back(self) -> None:
        """A reader that leaves, or whose fetch fails, gives the place back."""
        readers = [self.reader(), self.reader(), self.reader()]
        self.send(self.cache.answer(), 0, 1000)
        self.assertEqual(self.flights.unkept.taken, 3)
        self.cache.refuse(Unavailable("backing cache: down"))
        self.failureResultOf(readers[1].end, Unavailable)
        self.assertEqual(self.flights.unkept.taken, 2)
        for reader in (readers[0], readers[2]):
            reader.leave()
        self.assertEqual(self.flights.unkept.taken, 0)


class CloseTests(FlightsTestCase):
    def test_idle(self) -> None:
        """Where nothing is under way there is nothing to wait for."""
        self.successResultOf(self.flights.close())

    def test_readers(self) -> None:
        """Readers that are still there are told, and nothing is left."""
        waiting = self.get()
        self.successResultOf(self.flights.close())
        self.failureResultOf(waiting, Unavailable)
        reader = self.reader()
        body = self.cache.answer()
        self.send(body, 0, 1_000_000)
        self.successResultOf(self.flights.close())
        self.failureResultOf(reader.end, Unavailable)
        self.assertTrue(body.closed)
        self.assert_all_over(State.CANCELLED, State.CANCELLED)

    def test_deserted(self) -> None:
        """A fetch in its grace period is cancelled, too."""
        self.reader().leave()
        self.successResultOf(self.flights.close())
        self.assert_all_over(State.CANCELLED)

    def test_threads(self) -> None:
        """It takes until the threads that are at work have ended."""
        threads = HeldDiskThreads()
        self.reopen(threads=threads)
        self.begin()
        reader = self.reader()
        self.send(self.cache.answer(), 0, WRITE_CHUNK + 1)
        closings = [Deferred.fromCoroutine(self.flights.close()) for _ in range(2)]
        self.failureResultOf(reader.end, Unavailable)
        for closing_flights in closings:
            self.assertNoResult(closing_flights)
        threads.release()
        for closing_flights in closings:
            self.successResultOf(closing_flights)
        self.assert_all_over(State.CANCELLED)
