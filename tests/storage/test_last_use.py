"""Last uses."""

from __future__ import annotations

from typing import NoReturn

from gorego_tw.digest import Digest
from gorego_tw.errors import Unavailable
from gorego_tw.storage import last_use
from gorego_tw.storage.last_use import FLUSH_SECONDS
from tests.storage.tiers import TierTestCase


class LastUseTests(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.digest, _ = self.put(5000)
        self.key = self.digest.key
        self.last_use = self.tier.last_use
        while self.last_use.flush_slice():
            pass

    def recorded(self) -> int:
        return self.tier.index.neighbours(self.key, 1)[0][1]

    def recorded_of(self, digests: list[Digest]) -> set[int]:
        return {self.tier.index.neighbours(digest.key, 1)[0][1] for digest in digests}

    def let_pend(self, count: int) -> None:
        self.patch(last_use, "MOST_PENDING", count)
        self.write_all()
        self.last_use.flush_slice()

    def write_all(self) -> None:
        while len(self.last_use):
            self.last_use.flush_slice()

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.last_use.tick()

    def test_collected(self) -> None:
        """A use is known at once, and written when it is flushed."""
        self.later(10)
        self.last_use.touch(self.key)
        self.assertEqual(self.last_use.latest(self.key, 1), 1_000_010)
        self.assertEqual(self.recorded(), 1_000_000)
        self.assertFalse(self.last_use.flush_slice())
        self.assertEqual(self.recorded(), 1_000_010)
        self.assertEqual(self.last_use.latest(self.key, 1_000_010), 1_000_010)

    def test_pending(self) -> None:
        """A use is pending until it is written; all who observe are told of the blob then."""
        told: list[Digest] = []
        self.last_use.observers += [told.extend, told.extend]
        self.last_use.touch(self.key)
        self.assertTrue(self.last_use.is_pending(self.key))
        self.last_use.flush_slice()
        self.assertFalse(self.last_use.is_pending(self.key))
        self.assertEqual(told, [self.digest] * 2)

    def test_each_call_is_a_use(self) -> None:
        """Reading, asking for and putting a blob are uses of it."""
        for number, use in enumerate(
            (
                lambda: self.successResultOf(self.tier.blobs.get(self.digest)).discard(),
                lambda: self.successResultOf(self.tier.blobs.find_missing([self.digest])),
                lambda: self.put(5000),
            ),
            1,
        ):
            self.later(10)
            use()
            self.assertEqual(self.last_use.latest(self.key, 0), 1_000_000 + 10 * number)

    def test_clock_goes_back(self) -> None:
        """Uses do not get older when the clock is put back."""
        self.later(10)
        self.clock.rightNow = 5
        self.last_use.tick()
        self.last_use.touch(self.key)
        self.assertEqual(self.last_use.latest(self.key, 0), 1_000_010)

    def test_clock_goes_back_between_processes(self) -> None:
        """What is used by the next process is later than what was used by this one, all the same."""
        self.later(1000)
        self.last_use.touch(self.key)
        self.clock.rightNow = 5
        last_use = self.reopen().last_use
        self.assertEqual(self.recorded(), 1_001_000)
        digest, _ = self.put(6000)
        self.clock.advance(10)
        last_use.tick()
        last_use.touch(digest.key)
        self.assertEqual(last_use.latest(digest.key, 0), 1_001_010)

    def test_forgotten(self) -> None:
        """Of what is gone nothing is written."""
        self.last_use.touch(self.key)
        self.tier.inventory.evict([self.key])
        self.assertEqual(self.last_use.latest(self.key, 7), 7)
        self.last_use.touch(self.key)
        self.assertFalse(self.last_use.flush_slice())
        self.assertIsNone(self.tier.inventory.find(self.digest))

    def test_forgotten_while_others_are_written(self) -> None:
        """What goes while uses are being written is not pending any more, and the others are written."""
        seconds = self.clock.seconds

        def slow() -> float:
            self.clock.rightNow += 0.0006
            return seconds()

        digests = [self.put(10, seed)[0] for seed in range(100)]
        self.later(10)
        self.last_use.touch_all([digest.key for digest in digests])
        self.patch(self.clock, "seconds", slow)
        self.assertTrue(self.last_use.flush_slice())
        *others, gone = (digest for digest in digests if self.last_use.is_pending(digest.key))
        self.tier.inventory.evict([gone.key])
        self.assertFalse(self.last_use.is_pending(gone.key))
        self.assertEqual(self.last_use.latest(gone.key, 7), 7)
        self.write_all()
        self.assertEqual(self.recorded_of(others), {1_000_010})

    def test_more_than_there_is_room_for(self) -> None:
        """However many entries are used between two flushes, none is forgotten, and memory is bounded."""
        digests = [self.put(10, seed)[0] for seed in range(2000)]
        self.let_pend(200)
        self.later(10)
        most = 0
        for digest in digests:
            self.last_use.touch(digest.key)
            most = max(most, len(self.last_use))
        self.assertLess(most, 200 + 2 * 64)
        self.write_all()
        self.assertEqual(self.recorded_of(digests), {1_000_010})

    def test_more_at_once_than_there_is_room_for(self) -> None:
        """So it is with those that come in one piece, such as what an action result refers to."""
        digests = [self.put(10, seed)[0] for seed in range(2000)]
        self.let_pend(200)
        self.later(10)
        most = 0
        for at in range(0, len(digests), 50):
            self.last_use.touch_all([digest.key for digest in digests[at : at + 50]])
            most = max(most, len(self.last_use))
        self.assertLess(most, 200 + 2 * 64)
        self.write_all()
        self.assertEqual(self.recorded_of(digests), {1_000_010})

    def test_price_of_a_use(self) -> None:
        """Who brings more than there is room for waits for two writes each at most, with some slack."""
        digests = [self.put(10, seed)[0] for seed in range(1000)]
        self.let_pend(200)
        written: list[Digest] = []
        self.last_use.observers.append(written.extend)
        self.later(10)
        for number, digest in enumerate(digests, 1):
            before = len(written)
            self.last_use.touch(digest.key)
            self.assertLessEqual(len(written) - before, 96)
            self.assertLessEqual(len(written), 2 * number)

    def test_price_of_questions(self) -> None:
        """However many blobs are asked for together, no more uses wait than there is room for."""
        digests = [self.put(10, seed)[0] for seed in range(2000)]
        self.let_pend(1000)
        self.later(10)
        for _ in range(3):
            self.assertEqual(self.successResultOf(self.tier.blobs.find_missing(digests)), [])
            self.assertLess(len(self.last_use), 1000 + 2 * last_use.MOST_AT_ONCE)

    def test_full_and_nothing_can_be_written(self) -> None:
        """When the index cannot be written, uses are forgotten, calls go on and memory is bounded."""

        def broken() -> NoReturn:
            raise Unavailable("no disk")

        self.let_pend(200)
        self.patch(self.tier.index, "write", broken)
        for number in range(1000):
            self.last_use.touch(b"\1%032d" % number)
        self.assertLess(len(self.last_use), 200 + 2 * 32)

    def test_flush_is_called(self) -> None:
        """When half of the room is taken, the flush does not wait for its time."""
        called: list[int] = []
        self.last_use.crowded = lambda: called.append(len(self.last_use))
        self.let_pend(200)
        for number in range(150):
            self.last_use.touch(b"\1%032d" % number)
        self.assertEqual(called, [100])

    def test_flush_wakes(self) -> None:
        """The tier's flush begins at the next turn when it is called, and writes all there is."""
        services = self.tier.services
        services[0].startService()
        self.addCleanup(services[0].stopService)
        self.let_pend(20)
        digests = [self.put(10, seed)[0] for seed in range(12)]
        self.clock.rightNow += 0.1
        self.last_use.now += 10
        for digest in digests:
            self.last_use.touch(digest.key)
        self.clock.advance(0)
        self.assertEqual(self.recorded_of(digests), {1_000_010})

    def test_due(self) -> None:
        """A flush is due after a while, or when half of the room is taken."""
        self.assertFalse(self.last_use.due)
        self.clock.advance(FLUSH_SECONDS)
        self.assertTrue(self.last_use.due)
        self.last_use.flush_slice()
        self.assertFalse(self.last_use.due)
        self.patch(last_use, "MOST_PENDING", 4)
        self.last_use.touch(b"\1a")
        self.last_use.touch(b"\1b")
        self.assertTrue(self.last_use.due)

    def test_slices(self) -> None:
        """A slice ends with its time, and the next goes on; nothing is lost between them."""
        seconds = self.clock.seconds

        def slow() -> float:
            self.clock.rightNow += 0.0006
            return seconds()

        self.patch(self.clock, "seconds", slow)
        digests = [self.put(10, seed)[0] for seed in range(400)]
        for digest in digests:
            self.last_use.touch(digest.key)
        slices = 1
        while self.last_use.flush_slice():
            slices += 1
            if slices == 3:
                self.last_use.now += 500
                self.last_use.touch(digests[0].key)
                self.assertEqual(self.last_use.latest(digests[0].key, 0), self.last_use.now)
        self.assertGreater(slices, 5)

    def test_kept_across_restarts(self) -> None:
        """Closing the tier writes them."""
        self.later(10)
        self.last_use.touch(self.key)
        self.reopen()
        self.assertEqual(self.recorded(), 1_000_010)
