"""Tests of gorego_tw.remote.session."""

from __future__ import annotations

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Unavailable
from gorego_tw.remote.session import GREETING_SECONDS, Session


class SessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.answer: Deferred[None] = Deferred()
        self.closed = False
        self.session = Session("the peer", self.greet, self.close, self.clock)

    async def greet(self) -> None:
        """Asks."""
        await self.answer

    async def close(self) -> None:
        """Notes it."""
        self.closed = True

    def start(self, seconds: float = 0) -> str:
        """What the log says when it has started."""
        with capturedLogs() as events:
            starting = Deferred.fromCoroutine(self.session.startService())
            self.clock.advance(seconds)
            self.successResultOf(starting)
        (event,) = events
        return str(formatEvent(event))

    def test_answers(self) -> None:
        """The start waits for the first word."""
        starting = Deferred.fromCoroutine(self.session.startService())
        self.assertNoResult(starting)
        self.answer.callback(None)
        self.successResultOf(starting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_says_so(self) -> None:
        """The log says that it answers."""
        self.answer.callback(None)
        self.assertEqual(self.start(), "the peer answers")

    def test_fails(self) -> None:
        """A peer that is down is no reason not to start; the log says why."""
        self.answer.errback(Unavailable("backing cache: down"))
        self.assertEqual(self.start(), "the peer does not answer: backing cache: down")

    def test_greeted_again(self) -> None:
        """One that did not answer at the start is greeted until it does, and then no more."""
        self.answer.errback(Unavailable("backing cache: down"))
        self.start()
        self.answer = defer.fail(Unavailable("backing cache: down"))
        with capturedLogs() as events:
            self.clock.pump([1.0] * 100)
            self.answer = defer.succeed(None)
            self.clock.pump([1.0] * 100)
        told = [formatEvent(event) for event in events]
        self.assertEqual(told.count("the peer does not answer: backing cache: down"), 6)
        self.assertEqual(told[-1], "the peer answers")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_before_it_answers(self) -> None:
        """Then it is not greeted any more."""
        self.answer.errback(Unavailable("backing cache: down"))
        self.start()
        self.successResultOf(Deferred.fromCoroutine(self.session.stopService()))
        self.assertEqual((self.clock.getDelayedCalls(), self.closed), ([], True))

    def test_silent(self) -> None:
        """Nor is one that says nothing, which costs a start a moment."""
        said = self.start(GREETING_SECONDS)
        self.assertEqual(said, f"the peer does not answer within {GREETING_SECONDS:g} s")

    def test_stop(self) -> None:
        """Stopping lets go of the peer."""
        self.answer.callback(None)
        self.start()
        self.successResultOf(self.session.stopService())
        self.assertTrue(self.closed)
