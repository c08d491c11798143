"""Small tools for Deferreds and coroutines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextvars import Context, ContextVar
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.concurrency import (
    Periodic,
    cancelled_as_such,
    closing,
    finish_first,
    in_daemon_thread,
)
from gorego_tw.errors import Unavailable


class FinishFirstTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.work: Deferred[int] = Deferred()
        self.outcome = finish_first(self.work)

    def test_result(self) -> None:
        """What the work ends with is the outcome."""
        self.work.callback(7)
        self.assertEqual(self.successResultOf(self.outcome), 7)

    def test_failure(self) -> None:
        """A failure of the work is one of the outcome."""
        self.work.errback(ValueError())
        self.failureResultOf(self.outcome, ValueError)

    def test_cancelled(self) -> None:
        """Cancelling waits for the work, whatever it ends with."""
        for end in (lambda work: work.callback(7), lambda work: work.errback(ValueError())):
            self.setUp()
            self.outcome.cancel()
            self.outcome.cancel()
            self.assertNoResult(self.outcome)
            end(self.work)
            self.failureResultOf(self.outcome, CancelledError)

    def test_in_a_coroutine(self) -> None:
        """A coroutine that is cancelled goes on when the work has ended."""
        ended = []

        async def use() -> None:
            try:
                await self.outcome
            finally:
                ended.append(self.work.called)

        using = Deferred.fromCoroutine(use())
        using.cancel()
        self.assertEqual(ended, [])
        self.work.callback(7)
        self.failureResultOf(using, CancelledError)
        self.assertEqual(ended, [True])


class CancelledAsSuchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.work: Deferred[int] = Deferred(lambda work: work.errback(ValueError("no such host")))
        self.outcome = cancelled_as_such(self.work)

    def test_result(self) -> None:
        """What the work ends with is what it ends with."""
        self.work.callback(1)
        self.assertEqual(self.successResultOf(self.outcome), 1)

    def test_failure(self) -> None:
        """A failure of its own is that failure."""
        self.work.errback(KeyError())
        self.failureResultOf(self.outcome, KeyError)

    def test_cancelled(self) -> None:
        """Whatever the work makes of a cancellation, it is one."""
        self.outcome.cancel()
        self.failureResultOf(self.outcome, CancelledError)


class Plain:
    """An iterator that cannot be closed."""

    def __aiter__(self) -> Plain:
        return self

    async def __anext__(self) -> int:
        return 1


class ClosingTests(SynchronousTestCase):
    async def first(self, iterator: AsyncIterator[int]) -> int:
        async with closing(iterator) as items:
            async for item in items:
                return item
        return 0

    def test_generator(self) -> None:
        """A generator that was not read to its end is closed."""
        closed = []

        async def generate() -> AsyncIterator[int]:
            try:
                yield 1
            finally:
                closed.append(True)

        self.assertEqual(self.successResultOf(self.first(generate())), 1)
        self.assertEqual(closed, [True])

    def test_other_iterators(self) -> None:
        """An iterator that cannot be closed is none the worse for it."""
        self.assertEqual(self.successResultOf(self.first(Plain())), 1)


class InDaemonThreadTests(SynchronousTestCase):
    def result_of(self, function: Callable[[], int]) -> Deferred[int]:
        """What comes back to the reactor, which has been called from the thread."""
        calls: SimpleQueue[Callable[[], object]] = SimpleQueue()

        class Reactor:
            def callFromThread(self, call: Callable[..., object], *args: object) -> None:
                calls.put(lambda: call(*args))

        reactor: Any = Reactor()
        result = in_daemon_thread(reactor, function)
        call = calls.get(timeout=5)
        self.assertNoResult(result)
        call()
        return result

    def test_value(self) -> None:
        """What the function returns comes back, from another thread, which nobody waits for at the end."""
        threads: list[Thread] = []

        def work() -> int:
            threads.append(current_thread())
            return 7

        self.assertEqual(self.successResultOf(self.result_of(work)), 7)
        self.assertIsNot(threads[0], current_thread())
        self.assertTrue(threads[0].daemon)

    def test_failure(self) -> None:
        """So does what it raises."""

        def work() -> int:
            raise ZeroDivisionError

        self.failureResultOf(self.result_of(work), ZeroDivisionError)


class PeriodicTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.works: list[Deferred[None]] = []
        self.service = Periodic("work", self.work, 10, self.clock)
        self.service.startService()

    async def work(self) -> None:
        self.works.append(Deferred())
        await self.works[-1]

    def end(self) -> None:
        self.works[-1].callback(None)

    def test_interface(self) -> None:
        """It is a service."""
        verifyObject(IService, self.service)

    def test_again_and_again(self) -> None:
        """The work is done after each interval, when the one before has ended."""
        self.clock.advance(9)
        self.assertEqual(len(self.works), 0)
        self.clock.advance(1)
        self.clock.advance(10)
        self.assertEqual(len(self.works), 1)
        self.end()
        self.clock.advance(10)
        self.assertEqual(len(self.works), 2)

    def test_context(self) -> None:
        """The work belongs to nobody, whoever has woken it."""
        name: ContextVar[str] = ContextVar("name", default="nobody")
        seen: list[str] = []

        async def look() -> None:
            seen.append(name.get())

        service = Periodic("look", look, 10, self.clock)
        service.startService()

        def wake() -> None:
            name.set("somebody")
            service.wake()
            self.clock.advance(0)

        Context().run(wake)
        self.assertEqual(seen, ["nobody"])

    def test_failure(self) -> None:
        """A failure is logged and counted, and the next time comes."""
        self.clock.advance(10)
        self.works[-1].errback(ValueError())
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.service.failures, 1)
        self.clock.advance(10)
        self.assertEqual(len(self.works), 2)

    def test_trouble(self) -> None:
        """Trouble that may pass is one line of the log, until it is another or has been away."""
        with capturedLogs() as logs:
            for error in (
                Unavailable("disk"),
                Unavailable("disk"),
                None,
                OSError("disk"),
                OSError("?"),
            ):
                self.clock.advance(10)
                if error is None:
                    self.end()
                else:
                    self.works[-1].errback(error)
        told = [formatEvent(event) for event in logs]
        self.assertEqual(told, ["work: disk", "work: disk", "work: ?"])
        self.assertEqual(self.service.failures, 4)

    def test_stop(self) -> None:
        """Who stops it waits for the work under way."""
        self.clock.advance(10)
        stopped = self.service.stopService()
        self.assertNoResult(stopped)
        self.end()
        self.successResultOf(stopped)
        self.clock.advance(100)
        self.assertEqual(len(self.works), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_while_idle(self) -> None:
        """Who stops it between two works does not wait."""
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_never_started(self) -> None:
        """What was not started can be stopped."""
        self.successResultOf(Periodic("idle", self.work, 10, self.clock).stopService())

    def test_wake(self) -> None:
        """It can be called before its time, once for all who call at the same time."""
        self.service.wake()
        self.service.wake()
        self.assertEqual(len(self.works), 0)
        self.clock.advance(0)
        self.assertEqual(len(self.works), 1)
        self.service.wake()
        self.clock.advance(0)
        self.assertEqual(len(self.works), 1)
        self.end()
        self.clock.advance(10)
        self.assertEqual(len(self.works), 2)
        stopped = self.service.stopService()
        self.end()
        self.successResultOf(stopped)

    def test_wake_and_stop(self) -> None:
        """A call that comes too late is no work."""
        self.service.wake()
        self.successResultOf(self.service.stopService())
        self.service.wake()
        self.clock.advance(0)
        self.assertEqual(self.works, [])
