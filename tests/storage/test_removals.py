"""Tests of gorego_tw.storage.removals."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.removals import Removals


class RemovalsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.removals = Removals(most=3)

    def since(self, count: int) -> set[bytes] | None:
        """The keys since then."""
        keys = self.removals.since(count)
        return None if keys is None else set(keys)

    def test_since(self) -> None:
        """All that were added after so many are told of."""
        self.assertEqual(self.since(0), set())
        self.removals.add([b"a", b"b"])
        self.removals.add([b"c"])
        self.assertEqual(self.removals.count, 3)
        self.assertEqual(self.since(0), {b"a", b"b", b"c"})
        self.assertEqual(self.since(1), {b"b", b"c"})
        self.assertEqual(self.since(3), set())

    def test_too_long_ago(self) -> None:
        """Where some of them are not known any more, nothing is said."""
        self.removals.add([b"a", b"b", b"c", b"d"])
        self.assertIsNone(self.since(0))
        self.assertEqual(self.since(1), {b"b", b"c", b"d"})
