"""Last uses."""

from __future__ import annotations

from gorego_tw.digest import Digest
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

    def test_bounded(self) -> None:
        """No more than MOST_PENDING are collected; those known are renewed as soon as flushed."""
        self.patch(last_use, "MOST_PENDING", 4)
        for number in range(10):
            self.last_use.touch(b"\1%d" % number)
        self.assertEqual(len(self.last_use._pending), 4)

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
        digests = [self.put(10, seed)[0] for seed in range(20)]
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
