"""Tests of gorego_tw.reuse.recency."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.reuse.recency import BLOCK, Recency


class RecencyTests(SynchronousTestCase):
    def test_first_use(self) -> None:
        """What was not there has nothing that is younger."""
        recency = Recency(10)
        self.assertIsNone(recency.use(b"a", 5))
        self.assertEqual((len(recency), recency.weight, b"a" in recency), (1, 5, True))

    def test_younger(self) -> None:
        """What was used since is younger, once however often it was used, with its last weight."""
        recency = Recency(10)
        for key, weight in ((b"a", 1), (b"b", 10), (b"c", 100), (b"b", 20)):
            recency.use(key, weight)
        self.assertEqual(recency.use(b"a", 2), 120)
        self.assertEqual(recency.use(b"a", 2), 0)
        self.assertEqual(recency.weight, 122)
        self.assertEqual(recency.keys(), [b"c", b"b", b"a"])

    def test_oldest(self) -> None:
        """The oldest is forgotten first, with its weight."""
        recency = Recency(10)
        for key in (b"a", b"b", b"a"):
            recency.use(key, 3)
        self.assertEqual(recency.drop_oldest(), b"b")
        self.assertEqual((recency.weight, len(recency)), (3, 1))
        self.assertIsNone(recency.use(b"b", 3))

    def test_as_a_list_would(self) -> None:
        """Over many uses, places that are taken again, and blocks, it is what a plain list says."""
        random = Random(1)
        recency = Recency(3 * BLOCK)
        plain: list[tuple[bytes, int]] = []
        for _ in range(20 * BLOCK):
            key, weight = random.randbytes(1), random.randrange(1, 1000)
            keys = [known for known, _ in plain]
            expected = None
            if key in keys:
                at = keys.index(key)
                expected = sum(weight for _, weight in plain[at + 1 :])
                del plain[at]
            plain.append((key, weight))
            self.assertEqual(recency.use(key, weight), expected)
            if random.random() < 0.05:
                self.assertEqual(recency.drop_oldest(), plain.pop(0)[0])
        self.assertEqual(recency.weight, sum(weight for _, weight in plain))
