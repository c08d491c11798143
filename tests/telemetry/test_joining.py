"""Tests of gorego_tw.telemetry.joining."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Unavailable
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.joining import awaited, joined
from gorego_tw.telemetry.span import COALESCED, ROOM, UPSTREAM
from tests.telemetry.counted import Counted
from tests.telemetry.recording import Recording


class JoiningTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.counted = Counted()
        self.root = self.recording.root(self.counted.of("Read"))
        self.result: Deferred[int] = Deferred()
        current.set(self.root)
        self.addCleanup(current.set, None)

    def fire_elsewhere(self, seconds: float) -> None:
        """The result is there after that time, in the context of another request."""
        self.recording.clock.advance(seconds)
        current.set(self.recording.root())
        self.result.callback(7)
        current.set(None)


class JoinedTests(JoiningTestCase):
    def test_wait(self) -> None:
        """The wait is a span of the request that waits, linked to what it waits for."""
        other = self.recording.root()
        waiting = joined(self.result, other)
        self.fire_elsewhere(2)
        self.assertEqual(self.successResultOf(waiting), 7)
        (span,) = self.root.spans or []
        self.assertEqual((span.name, span.seconds), ("deduplicating request", 2))
        self.assertEqual(span.details.links, [other.context])
        self.assertEqual(self.root.details.spent, {COALESCED: 2})

    def test_context(self) -> None:
        """Who waits goes on as the request it was, whoever has fired the result."""
        seen: list[object] = []
        joined(self.result, None).addCallback(lambda _: seen.append(current.get()))
        self.fire_elsewhere(1)
        self.assertEqual(seen, [self.root])

    def test_failure(self) -> None:
        """What fails was waited for, too."""
        waiting = joined(self.result, None)
        self.recording.clock.advance(2)
        self.result.errback(Unavailable("down"))
        self.failureResultOf(waiting, Unavailable)
        self.assertEqual(self.root.details.spent, {COALESCED: 2})

    def test_counted(self) -> None:
        """It counts as joined if it is what the request is for, and else not."""
        joined(self.result, None, "get")
        joined(self.result, None, "find_missing")
        joined(self.result, None)
        self.assertEqual(self.counted.requests("Read"), {"backing coalesced": 1})

    def test_outside(self) -> None:
        """Where nothing is recorded the result is what it was."""
        current.set(None)
        self.assertIs(joined(self.result, self.root), self.result)


class AwaitedTests(JoiningTestCase):
    def test_wait(self) -> None:
        """Until it is there the current span waits for the backing cache."""
        span = self.root.begin("part")
        current.set(span)
        waiting = awaited(self.result)
        self.fire_elsewhere(3)
        self.assertEqual(self.successResultOf(waiting), 7)
        self.assertEqual(span.details.spent, {UPSTREAM: 3})

    def test_something_else(self) -> None:
        """Or for what it is told of."""
        waiting = awaited(self.result, ROOM)
        self.fire_elsewhere(3)
        self.assertEqual(self.successResultOf(waiting), 7)
        self.assertEqual(self.root.details.spent, {ROOM: 3})

    def test_outside(self) -> None:
        """Where nothing is recorded the result is what it was."""
        current.set(None)
        self.assertIs(awaited(self.result), self.result)
