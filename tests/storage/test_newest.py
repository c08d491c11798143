"""Tests of gorego_tw.storage.newest."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.newest import MOST_ENTRIES, Newest


class NewestTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.newest = Newest()

    def test_bytes(self) -> None:
        """The last one is there whatever its size is; those before, if little was written since."""
        for key, size_bytes in ((b"a", 10), (b"b", 60), (b"c", 30), (b"d", 100)):
            self.newest.note(key, size_bytes)
        there = {
            bound: [key for key in b"abcdx" if self.newest.has(bytes([key]), bound)]
            for bound in (1, 100, 101, 131)
        }
        self.assertEqual(there, {1: [*b"d"], 100: [*b"d"], 101: [*b"cd"], 131: [*b"bcd"]})

    def test_again(self) -> None:
        """One that is written again is new again."""
        for key in (b"a", b"b", b"a"):
            self.newest.note(key, 10)
        self.assertTrue(self.newest.has(b"a", 1))
        self.assertFalse(self.newest.has(b"b", 10))

    def test_entries(self) -> None:
        """Only so many are known."""
        keys = [b"%d" % number for number in range(3 * MOST_ENTRIES)]
        for key in keys:
            self.newest.note(key, 1)
        known = [key for key in keys if self.newest.has(key, 1000)]
        self.assertEqual(known, keys[-MOST_ENTRIES:])
