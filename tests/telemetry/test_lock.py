"""Tests of gorego_tw.telemetry.lock."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.lock import RecordedLock
from gorego_tw.telemetry.span import LOCK
from tests.telemetry.recording import Recording


class RecordedLockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.root = self.recording.root()
        self.lock = RecordedLock()
        current.set(self.root)
        self.addCleanup(current.set, None)

    def test_free(self) -> None:
        """A lock that is free is had at once, and nothing is told."""
        self.successResultOf(self.lock.acquire())
        self.assertIsNone(self.root.details.spent)

    def test_waiting(self) -> None:
        """Who waits has the lock after the one before, and its span says for how long it waited."""
        self.successResultOf(self.lock.acquire())
        span = self.root.begin("a")
        current.set(span)
        waiting = self.lock.acquire()
        self.recording.clock.advance(2)
        self.assertNoResult(waiting)
        self.lock.release()
        self.assertIs(self.successResultOf(waiting), self.lock)
        self.assertEqual(span.details.spent, {LOCK: 2})
        self.assertEqual(self.root.details.spent, {LOCK: 2})
        self.assertTrue(self.lock.locked)

    def test_leaving(self) -> None:
        """Who does not want to wait any more is told so, and the lock goes to the next one."""
        self.successResultOf(self.lock.acquire())
        leaving, staying = self.lock.acquire(), self.lock.acquire()
        self.recording.clock.advance(1)
        leaving.cancel()
        self.failureResultOf(leaving, CancelledError)
        self.lock.release()
        self.successResultOf(staying)
        self.assertEqual(self.root.details.spent, {LOCK: 2})

    def test_nothing_is_recorded(self) -> None:
        """Outside of a request it is a lock as any other."""
        current.set(None)
        seen: list[str] = []

        async def work(name: str, until: Deferred[None]) -> None:
            async with self.lock:
                await until
                seen.append(name)

        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()
        works = [
            Deferred.fromCoroutine(work("first", first)),
            Deferred.fromCoroutine(work("second", second)),
        ]
        second.callback(None)
        first.callback(None)
        self.assertEqual(seen, ["first", "second"])
        for done in works:
            self.successResultOf(done)
