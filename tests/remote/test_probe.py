"""Tests of gorego_tw.remote.probe."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Unavailable
from gorego_tw.remote.breaker import FAILURES, Breaker, State
from gorego_tw.remote.probe import MOST_SECONDS, Probe
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.span import Span
from tests.telemetry.recording import Recording

DOWN = Unavailable("backing cache: down")


class ProbeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.breaker = Breaker("the peer", clock=self.clock)
        self.asked_at: list[float] = []
        self.spans: list[Span | None] = []
        self.answer: Deferred[None] | None = None
        self.probe = Probe(self.breaker, self.ask, clock=self.clock, random=Random(1))
        self.probe.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """Stop it, if that was not done."""
        if self.probe.running:
            self.successResultOf(self.probe.stopService())

    async def ask(self) -> None:
        """Notes when; answers when and as the test says, or fails at once."""
        self.asked_at.append(self.clock.seconds())
        self.spans.append(current.get())
        if self.answer is None:
            raise DOWN
        await self.answer

    def open(self) -> None:
        """Open the breaker."""
        for _ in range(FAILURES):
            self.breaker.failed(DOWN)

    def pass_time(self, seconds: int) -> None:
        """Let time pass, in small steps."""
        self.clock.pump([0.05] * (seconds * 20))

    def test_closed(self) -> None:
        """While the breaker is closed nobody is asked."""
        self.pass_time(60)
        self.assertEqual(self.asked_at, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_waits_double(self) -> None:
        """The waits double up to a limit, more or less."""
        self.open()
        self.pass_time(200)
        waits = [b - a for a, b in zip([0.0, *self.asked_at], self.asked_at, strict=False)]
        for wait, expected in zip(waits, (1, 2, 4, 8, 16, 30, 30, 30), strict=False):
            self.assertLessEqual(abs(wait - expected), expected * 0.25 + 0.06)
        self.assertLess(max(waits), MOST_SECONDS * 1.26)
        self.assertEqual(self.probe.probes, len(self.asked_at))

    def test_answer(self) -> None:
        """An answer closes the breaker, and ends the probing; until it comes the breaker is half open."""
        self.open()
        self.answer = Deferred()
        self.pass_time(2)
        self.assertIs(self.breaker.state, State.HALF_OPEN)
        self.answer.callback(None)
        self.assertIs(self.breaker.state, State.CLOSED)
        self.pass_time(60)
        self.assertEqual(len(self.asked_at), 1)

    def test_nobodys_context(self) -> None:
        """What it asks, and tells, is no part of the request whose failure was the last one."""
        recording = Recording()
        current.set(recording.root())
        self.open()
        current.set(None)
        self.answer = succeed(None)
        self.pass_time(2)
        self.assertEqual(self.spans, [None])

    def test_opens_again(self) -> None:
        """When it opens again the waits begin anew."""
        self.open()
        self.pass_time(60)
        self.breaker.succeeded()
        self.pass_time(60)
        before = len(self.asked_at)
        self.open()
        self.pass_time(2)
        self.assertEqual(len(self.asked_at), before + 1)

    def test_fault(self) -> None:
        """A probe that ends in a way that nobody has thought of is followed by the next one."""
        self.open()
        self.answer = Deferred()
        self.pass_time(2)
        self.answer.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.answer = succeed(None)
        self.pass_time(5)
        self.assertIs(self.breaker.state, State.CLOSED)

    def test_closed_meanwhile(self) -> None:
        """If the breaker was closed during the wait nobody is asked."""
        self.open()
        self.breaker.succeeded()
        self.pass_time(60)
        self.assertEqual(self.asked_at, [])

    def test_stop(self) -> None:
        """A probe under way is broken off, and none follows."""
        self.open()
        self.answer = Deferred()
        self.pass_time(2)
        self.successResultOf(self.probe.stopService())
        self.pass_time(60)
        self.assertEqual(len(self.asked_at), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
