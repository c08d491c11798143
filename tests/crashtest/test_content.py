"""Blobs by number."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from crashtest.content import Content


class ContentTests(SynchronousTestCase):
    def test_the_same_every_time(self) -> None:
        """A blob depends on the seed and its number alone."""
        self.assertEqual(Content(1).blob(7), Content(1).blob(7))
        self.assertNotEqual(Content(1).blob(7), Content(2).blob(7))

    def test_both_sides_of_the_borders(self) -> None:
        """There are blobs for the index, for files of one message, and for files of several."""
        sizes = [len(Content(3).blob(number)) for number in range(300)]
        self.assertTrue(any(size <= 4080 for size in sizes))
        self.assertTrue(any(4080 < size <= 1 << 20 for size in sizes))
        self.assertTrue(any(size > 1 << 20 for size in sizes))
