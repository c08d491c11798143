"""Tests of gorego_tw.storage.evicted."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.evicted import Evicted


class EvictedTests(SynchronousTestCase):
    def test_known(self) -> None:
        """What was evicted is known to have been, and nothing else."""
        evicted = Evicted()
        evicted.add(b"a")
        self.assertIn(b"a", evicted)
        self.assertNotIn(b"b", evicted)

    def test_bound(self) -> None:
        """Only the last ones are remembered."""
        evicted = Evicted(most=3)
        for key in (b"a", b"b", b"c", b"d"):
            evicted.add(key)
        self.assertEqual([key in evicted for key in (b"a", b"b", b"c", b"d")], [False] + [True] * 3)
        self.assertEqual(len(evicted), 3)

    def test_again(self) -> None:
        """What is evicted again is one entry."""
        evicted = Evicted(most=2)
        for key in (b"a", b"a", b"a", b"b"):
            evicted.add(key)
        self.assertIn(b"a", evicted)
        self.assertEqual(len(evicted), 2)
