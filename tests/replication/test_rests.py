"""Rests after failures."""

from __future__ import annotations

from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.replication.rests import FIRST_SECONDS, MOST_SECONDS, Rests


class RestsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.rests = Rests(self.clock, Random(1))

    def seconds_of(self, failures: int) -> float:
        """How long what failed so often rests, to a tenth of a second."""
        self.rests.put_off(b"", failures)
        for tenth in range(1000):
            if self.rests.rested():
                return tenth / 10
            self.clock.advance(0.1)
        raise AssertionError

    def test_doubling(self) -> None:
        """A rest is half to all of a time that doubles with each failure, up to a minute."""
        for failures, longest in enumerate((1, 2, 4, 8, 16, 32, 60, 60, 60), 1):
            seconds = self.seconds_of(failures)
            self.assertTrue(longest / 2 <= seconds <= longest + 0.2, (failures, seconds))
        self.assertLessEqual(self.seconds_of(10_000), MOST_SECONDS + 0.2)

    def test_jitter(self) -> None:
        """No two rests are alike."""
        self.assertGreater(len({self.seconds_of(7) for _ in range(10)}), 5)

    def test_peer(self) -> None:
        """After a failure the peer rests, the longer the more of them there are in a row."""
        self.assertTrue(self.rests.over)
        self.assertTrue(self.rests.put_off(b"1", 1))
        self.assertFalse(self.rests.over)
        self.clock.advance(FIRST_SECONDS)
        self.assertTrue(self.rests.over)
        for key in (b"2", b"3"):
            self.assertFalse(self.rests.put_off(key, 1))
            self.clock.advance(FIRST_SECONDS * 4)
        self.assertFalse(self.rests.put_off(b"4", 1))
        self.clock.advance(FIRST_SECONDS * 3)
        self.assertFalse(self.rests.over)

    def test_together(self) -> None:
        """Failures during a rest do not make it longer."""
        self.assertTrue(self.rests.put_off(b"0", 1))
        for _ in range(20):
            self.assertFalse(self.rests.put_off(b"1", 1))
        self.clock.advance(FIRST_SECONDS)
        self.assertTrue(self.rests.over)

    def test_success(self) -> None:
        """After a success the next failure is the first."""
        for _ in range(5):
            self.rests.put_off(b"0", 1)
            self.clock.advance(MOST_SECONDS)
        self.rests.succeeded()
        self.assertTrue(self.rests.put_off(b"0", 1))
        self.clock.advance(FIRST_SECONDS)
        self.assertTrue(self.rests.over)

    def test_rested(self) -> None:
        """Whoever has rested is told once, the others go on."""
        self.rests.put_off(b"long", 6)
        self.rests.put_off(b"short", 1)
        self.assertEqual(self.rests.rested(), [])
        self.clock.advance(FIRST_SECONDS)
        self.assertEqual(self.rests.rested(), [b"short"])
        self.assertEqual(self.rests.rested(), [])

    def test_end(self) -> None:
        """All rests can be ended at once."""
        self.rests.put_off(b"long", 6)
        self.rests.put_off(b"short", 1)
        self.assertEqual(self.rests.end(), [b"short", b"long"])
        self.assertTrue(self.rests.over)
        self.clock.advance(MOST_SECONDS)
        self.assertEqual(self.rests.rested(), [])
