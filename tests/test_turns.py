"""Tests of gorego_tw.turns."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.turns import ONE_TURN, PIECE, Turns


def turns_taken(clock: Clock, work: Deferred[Any]) -> int:
    """Let work end; in how many turns of the reactor after the first."""
    taken = 0
    while not work.called:
        # advance() would run what comes up meanwhile, too.
        due, clock.calls = clock.calls, []
        for call in due:
            call.func(*call.args, **call.kw)
        taken += 1
    return taken


class TurnsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = Turns(self.clock)
        self.steps: list[str] = []

    def work(self, name: str, steps: int, worth: int, turns: Turns | None = None) -> Deferred[None]:
        """Begin work of so many steps."""

        async def steps_taken() -> None:
            for _ in range(steps):
                self.steps.append(name)
                await (turns or self.turns).after(worth)

        return Deferred.fromCoroutine(steps_taken())

    def test_little(self) -> None:
        """What is less than a piece is done at once."""
        self.successResultOf(self.work("a", 3, PIECE // 4))

    def test_much(self) -> None:
        """Of more, a piece is done in each turn."""
        self.assertEqual(turns_taken(self.clock, self.work("a", 40, PIECE // 4)), 10)

    def test_many(self) -> None:
        """Several do no more in a turn than one alone, and take turns at it."""
        works = [self.work(name, 20, PIECE // 2) for name in "abc"]
        turns = sum(turns_taken(self.clock, work) for work in works)
        self.assertGreaterEqual(turns, 60 // 2 - 3)
        self.assertLess(self.steps.index("c"), 6)
        self.assertIn("b", self.steps[-10:])

    def test_given_up(self) -> None:
        """Who leaves is not waited for."""
        first, second = (self.work(name, 4, PIECE) for name in "ab")
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(turns_taken(self.clock, second), 4)
        self.assertEqual(self.steps.count("a"), 1)

    def test_one_turn(self) -> None:
        """Without a clock all is done at once."""
        self.successResultOf(self.work("a", 10, PIECE, ONE_TURN))
