"""Tests of gorego_tw.storage.unverified."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import ResourceExhausted
from gorego_tw.storage import unverified as storage_unverified
from gorego_tw.storage.key_slots import KeySlots
from gorego_tw.storage.unverified import Unverified


class UnverifiedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.noted: list[bytes] = []
        self.path = Path(self.mktemp())
        self.slots = KeySlots(self.path, 10)
        self.addCleanup(self.slots.close)
        self.full = False
        self.unverified = Unverified(self.note, self.slots, Clock())

    def note(self, keys: Iterable[bytes]) -> None:
        if self.full:
            raise ResourceExhausted("full")
        self.noted += keys

    def begin(self) -> int:
        return self.unverified.begin(1, b"key")

    def end(self, turn: int, *, whole: bool) -> bool:
        """Whether the file is trusted then."""
        self.unverified.end(1, turn, whole=whole)
        return 1 not in self.unverified.files

    def left(self) -> list[bytes]:
        """What a process that was killed now would have left."""
        slots = KeySlots(self.path, 10)
        slots.close()
        return slots.left

    def test_killed(self) -> None:
        """What is not compared outlives a kill; what was compared, or is in the index, does not."""
        self.unverified.recover(killed=False)
        turn = self.begin()
        self.unverified.begin(2, b"other")
        self.assertEqual(sorted(self.left()), [b"key", b"other"])
        self.assertTrue(self.end(turn, whole=True))
        self.assertEqual(self.left(), [b"other"])
        self.assertFalse(self.end(self.begin(), whole=False))
        self.unverified.begin(2, b"another with this inode")
        self.unverified.note()
        self.assertEqual(self.noted, [b"key"])
        self.assertEqual(self.left(), [b"another with this inode"])
        for killed, noted in ((False, []), (True, [b"another with this inode"])):
            self.noted.clear()
            shutil.copy(self.path, copy := Path(self.mktemp()))
            slots = KeySlots(copy, 10)
            Unverified(self.note, slots, Clock()).recover(killed=killed)
            slots.close()
            self.assertEqual(self.noted, noted)

    def test_read_to_the_end(self) -> None:
        """A file that was read to its end is trusted, when the last of its readers is through."""
        first, second = self.begin(), self.begin()
        self.assertFalse(self.end(first, whole=True))
        self.assertTrue(self.end(second, whole=True))

    def test_left_early(self) -> None:
        """One that somebody has left is not, until somebody has read it who began after that."""
        first, second = self.begin(), self.begin()
        self.assertFalse(self.end(first, whole=False))
        self.assertFalse(self.end(second, whole=True))
        self.assertTrue(self.end(self.begin(), whole=True))

    def test_left_before(self) -> None:
        """Who reads to the end makes good for who left before it began, whoever reads beside."""
        self.end(self.begin(), whole=False)
        second, third = self.begin(), self.begin()
        self.assertFalse(self.end(second, whole=True))
        self.assertTrue(self.end(third, whole=True))

    def test_another_file(self) -> None:
        """The inode of a file that has gone says nothing of the file that has it now."""
        self.end(self.begin(), whole=False)
        turn = self.unverified.begin(1, b"another")
        self.assertTrue(self.end(turn, whole=True))

    def test_full(self) -> None:
        """What is more than is remembered is noted in the index; so is what is left at the end. What
        cannot be noted is remembered.
        """
        self.patch(storage_unverified, "MOST_FILES", 2)
        reading = self.begin()
        self.unverified.end(2, self.unverified.begin(2, b"left"), whole=False)
        self.full = True
        self.unverified.begin(3, b"third")
        self.assertEqual(set(self.unverified.files), {1, 2, 3})
        self.full = False
        self.unverified.begin(4, b"fourth")
        self.assertEqual(self.noted, [b"left"])
        self.assertEqual(set(self.unverified.files), {1, 3, 4})
        self.end(reading, whole=False)
        self.unverified.note()
        self.assertEqual(self.noted, [b"left", b"key"])

    def test_hashed_once(self) -> None:
        """Who wants a file hashed while it is being hashed waits; if that fails, the next one does it."""
        hashing: list[Deferred[None]] = []

        def hash_all() -> Deferred[None]:
            hashing.append(Deferred())
            return hashing[-1]

        self.begin()
        waiting = [Deferred.fromCoroutine(self.unverified.hash_once(1, hash_all)) for _ in range(3)]
        self.assertEqual(len(hashing), 1)
        hashing[0].errback(ResourceExhausted("no"))
        self.failureResultOf(waiting[0], ResourceExhausted)
        self.assertEqual(len(hashing), 2)
        hashing[1].callback(None)
        turns = [self.successResultOf(each) for each in waiting[1:]]
        self.assertEqual(turns[0], turns[1])
        self.assertEqual(len(hashing), 2)
