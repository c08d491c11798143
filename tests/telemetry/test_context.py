"""Tests of gorego_tw.telemetry.context."""

from __future__ import annotations

from contextvars import Context, ContextVar
from random import Random

from opentelemetry import context as otel
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.concurrency import finish_first
from gorego_tw.telemetry.context import attached, bound
from gorego_tw.telemetry.current import current, recorded
from tests.telemetry.recording import Recording

_name: ContextVar[str] = ContextVar("name", default="nobody")


def named(name: str) -> Context:
    """A context of that name."""
    context = Context()
    context.run(_name.set, name)
    return context


class AttachedTests(SynchronousTestCase):
    def test_the_one_who_fires_does_not_matter(self) -> None:
        """Callbacks run in the context that was attached, whoever fires the Deferred."""
        deferred: Deferred[int] = Deferred()
        seen: list[str] = []
        here = named("here").run(attached, deferred)
        here.addCallback(lambda _: seen.append(_name.get()))
        named("there").run(deferred.callback, 1)
        self.assertEqual(seen, ["here"])

    def test_the_one_who_adds_does_not_matter(self) -> None:
        """A callback that is added elsewhere runs in that context too, also after the result is there."""
        here = named("here").run(attached, succeed(1))
        seen = named("elsewhere").run(here.addCallback, lambda _: _name.get())
        self.assertEqual(self.successResultOf(seen), "here")

    def test_nobody_elses(self) -> None:
        """Callbacks of the original Deferred run as ever."""
        deferred: Deferred[int] = Deferred()
        named("here").run(attached, deferred)
        seen: list[str] = []
        deferred.addCallback(lambda _: seen.append(_name.get()))
        named("there").run(deferred.callback, 1)
        self.assertEqual(seen, ["there"])

    def test_failure(self) -> None:
        """Errbacks run in it too."""
        deferred: Deferred[int] = Deferred()
        here = named("here").run(attached, deferred)
        seen = here.addErrback(lambda _: _name.get())
        deferred.errback(Failure(ValueError()))
        self.assertEqual(self.successResultOf(seen), "here")

    def test_cancel(self) -> None:
        """Cancelling is passed on."""
        deferred: Deferred[int] = Deferred()
        here = attached(deferred)
        here.cancel()
        self.failureResultOf(here, CancelledError)
        self.assertTrue(deferred.called)

    def test_cancelled_later(self) -> None:
        """What cannot be broken off ends when it ends, for who cancels too."""
        work: Deferred[int] = Deferred()
        here = attached(finish_first(work))
        here.cancel()
        self.assertNoResult(here)
        work.callback(1)
        self.failureResultOf(here, CancelledError)

    def test_opentelemetry(self) -> None:
        """The context of OpenTelemetry is attached with it."""
        deferred: Deferred[int] = Deferred()

        def begin() -> Deferred[object]:
            otel.attach(otel.set_value("key", "here"))
            return attached(deferred).addCallback(lambda _: otel.get_value("key"))

        seen = Context().run(begin)
        deferred.callback(1)
        self.assertEqual(self.successResultOf(seen), "here")
        self.assertIsNone(otel.get_value("key"))

    def test_reentered(self) -> None:
        """A callback in the context may fire another Deferred with the same one."""
        first: Deferred[int] = Deferred()
        second: Deferred[int] = Deferred()

        def begin() -> Deferred[str]:
            attached(first).addCallback(second.callback)
            return attached(second).addCallback(lambda _: _name.get())

        seen = named("here").run(begin)
        first.callback(1)
        self.assertEqual(self.successResultOf(seen), "here")


class BoundTests(SynchronousTestCase):
    def test_timer(self) -> None:
        """A timer runs in the context it was set in."""
        clock = Clock()
        seen: list[str] = []

        def note() -> None:
            seen.append(_name.get())

        clock.callLater(1, named("here").run(bound, note))
        clock.advance(1)
        self.assertEqual(seen, ["here"])

    def test_leaves_no_trace(self) -> None:
        """What it changes is changed for nobody else, not for its next call either."""
        context = named("here")
        change = context.run(bound, lambda: _name.set("changed"))
        change()
        change()
        self.assertEqual(context.run(_name.get), "here")
        self.assertEqual(_name.get(), "nobody")


class InterleavedTests(SynchronousTestCase):
    """Thousands of requests at a time."""

    REQUESTS = 3_000

    def test_no_span_has_another_requests_parent(self) -> None:
        """Whatever the order in which coroutines, callbacks and timers go on, each span is of its request."""
        recording = Recording()
        random = Random(1)
        clock = Clock()
        pending: list[Deferred[None]] = []
        roots = []

        async def request(number: int) -> None:
            root = recording.root()
            root.name = str(number)
            roots.append(root)
            current.set(root)
            for depth in range(4):
                with recorded(f"{number} {depth}"):
                    wait: Deferred[None] = Deferred()
                    pending.append(wait)
                    await wait
                    fired: Deferred[None] = Deferred()
                    attached(fired).addCallback(leaf, number)
                    pending.append(fired)
                    clock.callLater(random.random(), bound(leaf), None, number)

        def leaf(_: None, number: int) -> None:
            with recorded(f"{number} leaf"):
                pass

        for number in range(self.REQUESTS):
            Context().run(Deferred.fromCoroutine, request(number))
        while pending:
            at = random.randrange(len(pending))
            pending[at], pending[-1] = pending[-1], pending[at]
            pending.pop().callback(None)
            if len(pending) % 1_000 == 0:
                clock.advance(0.1)
        clock.advance(1)
        self.assertEqual(len(roots), self.REQUESTS)
        for root in roots:
            self.assertEqual(len(root.spans or ()), 12)
            for span in root.spans or ():
                self.assertEqual(span.name.split()[0], root.name)
                assert span.parent is not None
                self.assertEqual(span.parent.name.split()[0], root.name)
