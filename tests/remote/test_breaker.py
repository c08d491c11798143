"""Tests of gorego_tw.remote.breaker."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import DeadlineExceeded, Internal, NotFound, StatusError, Unavailable
from gorego_tw.remote.breaker import (
    FAILURES,
    TABLE,
    Breaker,
    CircuitOpen,
    Input,
    State,
    is_failure,
)

DOWN = Unavailable("backing cache: down")


class TableTests(SynchronousTestCase):
    def test_every_pair(self) -> None:
        """Every input has its meaning in every state: a success closes, too many failures open."""
        self.assertEqual(set(TABLE), set(State))
        for state, moves in TABLE.items():
            self.assertEqual(set(moves), set(Input), state)
            self.assertIs(moves[Input.SUCCESS], State.CLOSED)
            self.assertIs(moves[Input.TOO_MANY_FAILURES], State.OPEN)
        self.assertIs(TABLE[State.OPEN][Input.PROBE], State.HALF_OPEN)
        self.assertIs(TABLE[State.CLOSED][Input.PROBE], State.CLOSED)


class IsFailureTests(SynchronousTestCase):
    def test_no_answer(self) -> None:
        """No answer is a failure; any answer is none."""
        for error in (DOWN, DeadlineExceeded("x"), Internal("x"), StatusError("x")):
            self.assertTrue(is_failure(error))
        self.assertFalse(is_failure(NotFound("x")))


class BreakerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.breaker = Breaker("the peer", clock=self.clock)
        self.states: list[State] = []
        self.breaker.observers.append(self.states.append)

    async def down(self) -> None:
        """A call without an answer."""
        raise DOWN

    async def well(self) -> str:
        """A call with one."""
        return "well"

    def fail_so_often(self, times: int = FAILURES) -> None:
        """Let so many calls fail."""
        for _ in range(times):
            self.failureResultOf(self.breaker.guard(self.down), Unavailable)

    def test_opens(self) -> None:
        """After so many failures in a row it opens, and calls fail at once, with the reason."""
        self.fail_so_often(FAILURES - 1)
        self.assertIs(self.breaker.state, State.CLOSED)
        self.fail_so_often(1)
        self.assertIs(self.breaker.state, State.OPEN)
        refused = self.failureResultOf(self.breaker.guard(self.well), CircuitOpen).value
        self.assertTrue(refused.message.startswith("backing cache: not asked"), refused.message)
        self.assertTrue(refused.message.endswith(": down"), refused.message)
        self.assertEqual((self.breaker.opened, self.breaker.refused), (1, 1))
        self.assertEqual(self.breaker.reason, "backing cache: down")

    def test_in_a_row(self) -> None:
        """A success in between makes it count anew."""
        self.fail_so_often(FAILURES - 1)
        self.assertEqual(self.successResultOf(self.breaker.guard(self.well)), "well")
        self.fail_so_often(FAILURES - 1)
        self.assertEqual(self.states, [])

    def test_answers(self) -> None:
        """A failure that is an answer counts as success."""
        self.fail_so_often(FAILURES - 1)
        self.breaker.failed(NotFound("none"))
        self.fail_so_often(FAILURES - 1)
        self.assertIs(self.breaker.state, State.CLOSED)

    def test_probe(self) -> None:
        """While a probe is out the others fail at once; how it ends decides."""
        self.fail_so_often()
        self.breaker.probing()
        self.failureResultOf(self.breaker.guard(self.well), CircuitOpen)
        self.failureResultOf(self.breaker.watch(self.down), Unavailable)
        self.breaker.probing()
        self.successResultOf(self.breaker.watch(self.well))
        expected = [State.OPEN, State.HALF_OPEN, State.OPEN, State.HALF_OPEN, State.CLOSED]
        self.assertEqual(self.states, expected)
        self.assertEqual((self.breaker.opened, self.breaker.reason), (1, ""))

    def test_late_success(self) -> None:
        """The answer to a call that had left before it opened closes it."""
        self.fail_so_often()
        self.breaker.succeeded()
        self.assertIs(self.breaker.state, State.CLOSED)

    def test_late_failure(self) -> None:
        """The failure of such a call changes nothing, nor does what was not asked."""
        self.fail_so_often()
        self.breaker.failed(DOWN)
        self.breaker.failed(CircuitOpen("not asked"))
        self.assertEqual(self.states, [State.OPEN])
        self.assertEqual(self.breaker.reason, "backing cache: down")

    def test_cancelled(self) -> None:
        """A call that is broken off says nothing of the peer."""

        async def hang() -> None:
            await Deferred()

        self.fail_so_often(FAILURES - 1)
        hanging = Deferred.fromCoroutine(self.breaker.guard(hang))
        hanging.cancel()
        self.failureResultOf(hanging, CancelledError)
        self.fail_so_often(1)
        self.assertIs(self.breaker.state, State.OPEN)

    def test_time(self) -> None:
        """How long it has been so is known, whatever probes there were."""
        self.clock.advance(5)
        self.assertEqual(self.breaker.seconds, 5)
        self.fail_so_often()
        self.clock.advance(3)
        self.breaker.probing()
        self.assertEqual(self.breaker.seconds, 3)

    def test_log(self) -> None:
        """Opening is a warning with the reason, closing says how long it took; nothing else is told."""
        with capturedLogs() as events:
            self.fail_so_often()
            self.fail_again()
            self.clock.advance(2)
            self.breaker.succeeded()
        levels = [event["log_level"] for event in events]
        self.assertEqual(levels, [LogLevel.warn, LogLevel.info])
        self.assertIn("down", formatEvent(events[0]))
        self.assertIn("2.0 s", formatEvent(events[1]))

    def fail_again(self) -> None:
        """A failed probe."""
        self.breaker.probing()
        self.failureResultOf(self.breaker.watch(self.down), Unavailable)
