"""The limit, promises, and the reserve."""

from __future__ import annotations

import errno

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import ResourceExhausted, Unavailable
from gorego_tw.storage.space import Space

PAGE = 4096


class SpaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stored = self.in_files = self.unknown = 0
        self.lacking_files = self.most_files = 0
        self.free = 1000 * PAGE
        self.asked = 0
        self.crowds = 0
        self.clock = Clock()
        self.space = Space(
            160 * PAGE,
            100 * PAGE,
            stored=lambda: self.stored,
            in_files=lambda: self.in_files,
            free=self.ask,
            lacking_files=lambda: self.lacking_files,
            most_files=lambda: self.most_files,
            unknown=lambda: self.unknown,
            clock=self.clock,
        )
        self.space.crowded = self.crowd

    def ask(self) -> int:
        self.asked += 1
        return self.free

    def crowd(self) -> None:
        self.crowds += 1

    def refused(self, size_bytes: int) -> str:
        return str(self.assertRaises(ResourceExhausted, self.space.reserve, size_bytes))

    def test_reservation(self) -> None:
        """Room is promised in whole blocks, and given back once."""
        reservation = self.space.reserve(PAGE + 1)
        self.assertEqual(self.space.reserved_bytes, 2 * PAGE)
        reservation.release()
        reservation.release()
        self.assertEqual(self.space.reserved_bytes, 0)
        with self.space.reserve(1):
            self.assertEqual(self.space.reserved_bytes, PAGE)
        self.assertEqual(self.space.reserved_bytes, 0)

    def test_spare(self) -> None:
        """Who need not write gets room that is there, or little of the headroom, and else nothing is asked of anybody."""
        headroom = self.space.headroom_bytes
        self.assertEqual(headroom, 10 * PAGE)
        for stored, size, granted in (
            (100, 50, True),
            (100, 51, False),
            (149, 2, True),
            (149, 3, False),
            (158, 2, True),
            (159, 2, False),
        ):
            self.stored = stored * PAGE
            room = self.space.spare(size * PAGE)
            self.assertEqual(room is not None, granted, (stored, size))
            if room is not None:
                self.assertEqual(self.space.reserved_bytes, size * PAGE)
                room.release()
        self.assertEqual((self.space.reserved_bytes, self.space.refusals), (0, 0))
        self.assertEqual((self.space.wanted_bytes, self.crowds), (0, 0))

    def test_spare_of_the_file_system(self) -> None:
        """What others shall find free is not spare."""
        self.free = 110 * PAGE
        self.assertIsNone(self.space.spare(11 * PAGE))
        self.assertIsNotNone(self.space.spare(10 * PAGE))

    def test_held_back(self) -> None:
        """While nothing may be written there is room for nobody, however much is free."""
        self.space.is_held_back = lambda: True
        self.assertIn("checkpoint", self.refused(1))
        self.assertIsNone(self.space.spare(1))
        self.assertEqual((self.space.refusals, self.space.reserved_bytes), (1, 0))

    def test_limit(self) -> None:
        """What is stored, partial and promised stays below the limit together."""
        self.stored = 60 * PAGE
        self.space.partial_bytes = 40 * PAGE
        self.space.reserve(60 * PAGE)
        message = self.refused(1)
        self.assertIn(f"{100 * PAGE} of {160 * PAGE} are used", message)
        self.assertEqual(self.space.refusals, 1)

    def test_never(self) -> None:
        """What could not stay below the limit is refused with no hope, and nothing goes for it."""
        self.space.reserve(147 * PAGE).release()
        error = self.assertRaises(ResourceExhausted, self.space.reserve, 148 * PAGE)
        self.assertEqual(error.details, ())
        self.assertIn(f"the largest that does has {self.space.largest_bytes}", error.message)
        self.assertEqual((self.space.wanted_bytes, self.crowds), (0, 0))

    def test_retry(self) -> None:
        """What may fit later is refused with the time to try again."""
        self.stored = 160 * PAGE
        error = self.assertRaises(ResourceExhausted, self.space.reserve, 1)
        self.assertEqual(error.details[0].retry_delay.seconds, 2)

    def test_reserve(self) -> None:
        """What others shall find free stays free, promises included."""
        self.free = 150 * PAGE
        self.space.reserve(30 * PAGE)
        self.space.reserve(20 * PAGE)
        self.refused(1)

    def test_free_bytes_are_cached(self) -> None:
        """The file system is asked once a second."""
        for _ in range(10):
            self.space.check(1)
        self.assertEqual(self.asked, 1)
        self.clock.advance(1)
        self.space.check(1)
        self.assertEqual(self.asked, 2)

    def test_clock_goes_back(self) -> None:
        """A clock that was put back does not make an old answer hold."""
        self.clock.advance(1000)
        self.space.check(1)
        self.clock.rightNow = 10
        self.space.check(1)
        self.assertEqual(self.asked, 2)

    def test_unknown_free_bytes(self) -> None:
        """A file system that does not answer makes the tier unavailable."""

        def fail() -> int:
            raise OSError(errno.EIO, "Input/output error")

        self.space._free = fail
        self.assertRaises(Unavailable, self.space.check, 1)

    def test_headroom(self) -> None:
        """Who takes of the headroom calls for eviction, which makes as much room as it is large."""
        self.stored = 150 * PAGE
        self.space.check(0)
        self.assertEqual(self.crowds, 0)
        self.assertEqual(self.space.excess_bytes, 0)
        reservation = self.space.reserve(5 * PAGE)
        self.assertEqual(self.crowds, 1)
        self.assertEqual(self.space.excess_bytes, 5 * PAGE)
        reservation.release()
        self.assertLessEqual(self.space.excess_bytes, 0)

    def test_wanted(self) -> None:
        """What was refused is made room for, once."""
        self.stored = 150 * PAGE
        self.refused(60 * PAGE)
        self.refused(50 * PAGE)
        self.assertEqual(self.space.excess_bytes, 60 * PAGE)
        self.space.made_room()
        self.assertEqual(self.space.excess_bytes, 0)

    def test_out_of_reach(self) -> None:
        """What all files together could not give the file system is not evicted for; the limit is kept all the same."""
        self.free, self.in_files = 70 * PAGE, 30 * PAGE
        self.assertEqual(self.space.evictable_bytes, 30 * PAGE)
        self.in_files -= 1
        self.assertLess(self.space.evictable_bytes, 0)
        self.stored = 153 * PAGE
        self.assertEqual(self.space.evictable_bytes, 3 * PAGE)

    def test_no_room_on_the_file_system(self) -> None:
        """It is a failure when an ordinary write would be refused, and none when eviction can make room for it."""
        self.free = 110 * PAGE
        self.assertIsNone(self.space.failure)
        self.free -= 1
        self.space.made_room()
        self.assertIn(
            f"{self.free} bytes left, {100 * PAGE} are reserved", self.space.failure or ""
        )
        self.in_files = 1
        self.assertIsNone(self.space.failure)
        self.space.made_room(nothing_left=True)
        self.assertIn("make room on the disk", self.space.failure or "")
        self.free += 1
        self.space.made_room(nothing_left=True)
        self.assertIsNone(self.space.failure)

    def test_no_room_below_the_limit(self) -> None:
        """A cache that is full is a failure only if nothing in it may go, whatever is promised to writes under way."""
        self.stored = 150 * PAGE
        self.space.reserve(10 * PAGE)
        self.space.made_room(nothing_left=True)
        self.assertIsNone(self.space.failure)
        self.stored += 1
        self.assertIn("local_cache.max_size_gb", self.space.failure or "")
        self.space.made_room()
        self.assertIsNone(self.space.failure)

    def test_silent_file_system(self) -> None:
        """A file system that does not answer is a failure as well."""

        def fail() -> int:
            raise OSError(errno.EIO, "Input/output error")

        self.space._free = fail
        self.assertEqual(self.space.failure, "local tier: Input/output error")

    def test_lacking_reserve(self) -> None:
        """Where the file system has too little left, so much has to go; what is doomed counts."""
        self.free = 70 * PAGE
        self.assertEqual(self.space.excess_bytes, 30 * PAGE)
        self.space.doomed_bytes = 10 * PAGE
        self.assertEqual(self.space.excess_bytes, 20 * PAGE)

    def test_lacking_files(self) -> None:
        """Where the file system has room for too few files some have to go, unless all of them were not enough."""
        self.lacking_files = self.most_files = 30
        self.space.check(1)
        self.assertEqual(self.crowds, 1)
        self.assertEqual(self.space.evictable_bytes, 30 * PAGE)
        for _ in range(10):
            self.space.doom(PAGE)
        self.assertEqual(self.space.evictable_bytes, 20 * PAGE)
        self.lacking_files = 15
        self.space.emptied(10 * PAGE, 10)
        self.assertEqual(self.space.evictable_bytes, 15 * PAGE)
        self.most_files, self.in_files = 14, 1000 * PAGE
        self.assertLessEqual(self.space.evictable_bytes, 0)

    def test_asked_again(self) -> None:
        """The file system is asked again as soon as more is promised than it had left, in bytes or in files."""
        self.free, self.lacking_files = 110 * PAGE, -15
        for _ in range(11):
            self.space.reserve(1).release()
        self.assertEqual((self.asked, self.crowds), (1, 0))
        self.free = 1000 * PAGE
        for _ in range(16):
            self.space.reserve(1).release()
        self.assertEqual((self.asked, self.crowds), (2, 0))
        self.lacking_files = 1
        self.space.reserve(1).release()
        self.assertEqual((self.asked, self.crowds), (3, 1))

    def test_unknown(self) -> None:
        """What is not known counts like what is, and cannot be evicted: of what is known a headroom's worth stays."""
        self.unknown = 150 * PAGE
        for stored, excess in ((0, 0), (10, 0), (12, 2), (20, 10), (170, 160)):
            self.stored = stored * PAGE
            self.assertEqual(self.space.used_bytes, (150 + stored) * PAGE)
            self.assertEqual(max(0, self.space.excess_bytes), excess * PAGE, stored)
        self.stored = 10 * PAGE
        self.assertIn(f"some {150 * PAGE} of them by files", self.refused(1))
        self.unknown = 100 * PAGE
        self.space.made_room()
        self.stored = 55 * PAGE
        self.assertEqual(self.space.excess_bytes, 5 * PAGE)
