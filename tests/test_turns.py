"""Tests of gorego_tw.turns."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.turns import ONE_TURN, PIECE, SHARE, Share, Turns


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

    def work(
        self, name: str, steps: int, worth: int, turns: Turns | Share | None = None
    ) -> Deferred[None]:
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

    def test_little_beside_much(self) -> None:
        """A call that does little never waits, whoever does much."""
        shares = [self.turns.of_one_call() for _ in range(8)]
        much = [self.work("much", 200, SHARE // 2, share) for share in shares]
        self.successResultOf(self.work("little", 3, SHARE // 4, self.turns.of_one_call()))
        self.assertEqual([work.called for work in much], [False] * 8)

    def test_parts_of_one_call(self) -> None:
        """A call that does much at the same time has no more turns than one that does it one by one."""
        share = self.turns.of_one_call()
        parts = [self.work("parts", 30, SHARE // 2, share) for _ in range(32)]
        alone = self.work("alone", 30, PIECE, self.turns.of_one_call())
        turns_taken(self.clock, alone)
        self.assertLess(self.steps.count("parts"), 300)
        for part in parts:
            turns_taken(self.clock, part)
        self.assertEqual(self.steps.count("parts"), 30 * 32)

    def test_parts_given_up(self) -> None:
        """A call whose parts are all given up is not waited for, nor are those that come after it."""
        share = self.turns.of_one_call()
        parts = [self.work("a", 30, SHARE, share) for _ in range(32)]
        other = self.work("b", 3, PIECE, self.turns.of_one_call())
        for part in parts:
            part.cancel()
            self.failureResultOf(part, CancelledError)
        self.assertLess(turns_taken(self.clock, other), 6)
        later = self.work("c", 3, PIECE, share)
        self.assertLess(turns_taken(self.clock, later), 6)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_call_in_one_turn(self) -> None:
        """Without a clock a call does all at once, too."""
        self.successResultOf(self.work("a", 10, PIECE, ONE_TURN.of_one_call()))
