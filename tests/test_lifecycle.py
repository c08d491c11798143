"""Starting and stopping in order."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.lifecycle import Lifecycle, Opened, StartError


class Step(Service):
    """A child that starts and stops when the test says so."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name = name
        self.events = events
        self.started: Deferred[None] = Deferred()
        self.stopped: Deferred[None] = Deferred()

    def startService(self) -> Deferred[None]:
        self.events.append(f"start {self.name}")
        return self.started

    def stopService(self) -> Deferred[None]:
        self.events.append(f"stop {self.name}")
        return self.stopped


class LifecycleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.events: list[str] = []
        self.errors: list[Exception] = []
        self.first = Step("first", self.events)
        self.second = Step("second", self.events)
        self.lifecycle = Lifecycle(self.children, self.errors.append)

    def children(self) -> Iterator[IService]:
        """The two steps, telling when each is made."""
        for step in (self.first, self.second):
            self.events.append(f"make {step.name}")
            yield step

    def start_all(self) -> None:
        self.lifecycle.startService()
        self.first.started.callback(None)
        self.second.started.callback(None)

    def test_interface(self) -> None:
        """It is a service as twistd knows them."""
        verifyObject(IService, self.lifecycle)

    def test_nothing_is_made_before_the_start(self) -> None:
        """Until the daemon has left its parent process nothing is opened."""
        self.assertEqual(self.events, [])

    def test_each_starts_after_the_one_before(self) -> None:
        """The second child is not even made before the first has started."""
        self.lifecycle.startService()
        self.assertEqual(self.events, ["make first", "start first"])
        self.first.started.callback(None)
        self.assertEqual(self.events[2:], ["make second", "start second"])

    def test_ready_when_all_have_started(self) -> None:
        """Ready is after the last start and before the first stop."""
        self.lifecycle.startService()
        self.first.started.callback(None)
        self.assertFalse(self.lifecycle.ready)
        self.second.started.callback(None)
        self.assertTrue(self.lifecycle.ready)
        self.lifecycle.stopService()
        self.assertFalse(self.lifecycle.ready)

    def test_each_stops_after_the_one_that_started_later(self) -> None:
        """The first child goes on until the second has stopped."""
        self.start_all()
        del self.events[:]
        stopping = self.lifecycle.stopService()
        self.assertEqual(self.events, ["stop second"])
        self.second.stopped.callback(None)
        self.assertEqual(self.events, ["stop second", "stop first"])
        self.assertNoResult(stopping)
        self.first.stopped.callback(None)
        self.successResultOf(stopping)

    def test_a_child_that_fails_to_stop_does_not_keep_the_others(self) -> None:
        """The failure is logged, and the store below is flushed all the same."""
        self.start_all()
        stopping = self.lifecycle.stopService()
        self.second.stopped.errback(ValueError("boom"))
        self.first.stopped.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_failed_start_stops_what_had_started(self) -> None:
        """Then the error is handed on."""
        error = StartError("taken")
        self.first.stopped.callback(None)
        self.lifecycle.startService()
        self.first.started.callback(None)
        self.second.started.errback(error)
        self.assertEqual(self.events[-1], "stop first")
        self.assertEqual(self.errors, [error])
        self.assertFalse(self.lifecycle.ready)

    def test_a_start_that_fails_at_once_can_end_the_process(self) -> None:
        """What is raised on giving up comes out of startService, so that twistd does not go on."""

        def give_up(error: Exception) -> None:
            raise SystemExit(str(error))

        lifecycle = Lifecycle(self.children, give_up)
        self.first.started.errback(StartError("taken"))
        error = self.assertRaises(SystemExit, lifecycle.startService)
        self.assertEqual(error.code, "taken")

    def test_a_child_that_cannot_be_made(self) -> None:
        """It is the same as one that cannot start."""

        def children() -> Iterator[IService]:
            yield self.first
            raise StartError("no folder")

        self.first.started.callback(None)
        self.first.stopped.callback(None)
        Lifecycle(children, self.errors.append).startService()
        self.assertEqual(self.events, ["start first", "stop first"])
        self.assertEqual(len(self.errors), 1)

    def test_stopping_during_the_start(self) -> None:
        """The start that goes on is cancelled, what has started is stopped, and nothing is an error."""
        self.first.stopped.callback(None)
        self.lifecycle.startService()
        self.first.started.callback(None)
        self.successResultOf(self.lifecycle.stopService())
        self.assertEqual(self.events[-2:], ["start second", "stop first"])
        self.assertEqual(self.errors, [])

    def test_stopping_what_never_started(self) -> None:
        """There is nothing to do."""
        self.successResultOf(self.lifecycle.stopService())
        self.assertEqual(self.events, [])


class OpenedTests(SynchronousTestCase):
    def test_it_is_closed(self) -> None:
        """Starting does nothing, stopping closes and waits for it."""
        closed: Deferred[None] = Deferred()

        async def close() -> None:
            await closed

        opened = Opened(close)
        verifyObject(IService, opened)
        opened.startService()
        stopping = Deferred.fromCoroutine(opened.stopService())
        self.assertNoResult(stopping)
        closed.callback(None)
        self.successResultOf(stopping)
