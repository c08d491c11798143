"""Tests of gorego_tw.tracing.threads."""

from __future__ import annotations

from contextvars import ContextVar

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase, TestCase

from gorego_tw.storage.disk_threads import HeldDiskThreads
from gorego_tw.telemetry.current import current, current_ids
from gorego_tw.telemetry.span import DISK, THREAD_POOL
from gorego_tw.tracing.threads import TracedThreads
from tests.storage.test_disk_threads import DiskThreadsContract
from tests.telemetry.recording import Recording

_name: ContextVar[str] = ContextVar("name", default="nobody")


class OutsideTests(DiskThreadsContract, TestCase):
    """As any threads, where nothing is recorded."""

    def setUp(self) -> None:
        self.held = HeldDiskThreads()
        self.threads = TracedThreads(self.held)

    def release(self) -> None:
        self.held.release()


class InsideTests(OutsideTests):
    """As any threads, for a request too."""

    def setUp(self) -> None:
        super().setUp()
        current.set(Recording().root())
        self.addCleanup(current.set, None)


class TracedThreadsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.held = HeldDiskThreads()
        self.threads = TracedThreads(self.held, self.recording.clock.seconds)
        self.span = self.recording.root().begin("part")
        current.set(self.span)
        self.addCleanup(current.set, None)

    def work(self) -> str:
        """Takes two seconds."""
        self.recording.clock.advance(2)
        return _name.get()

    def test_waiting_and_working(self) -> None:
        """Until a thread is free it is waiting, then it is the disk."""
        work = self.threads.run(self.work)
        self.recording.clock.advance(5)
        self.held.release()
        self.successResultOf(work)
        self.assertEqual(self.span.details.spent, {THREAD_POOL: 5, DISK: 2})

    def test_failure(self) -> None:
        """What fails took its time too."""

        def fail() -> None:
            self.work()
            raise OSError(5, "Input/output error")

        work = self.threads.run(fail)
        self.held.release()
        self.failureResultOf(work, OSError)
        self.assertEqual(self.span.details.spent, {THREAD_POOL: 0, DISK: 2})

    def test_context(self) -> None:
        """The function runs in the context it was given in, so that what it logs has its trace."""
        _name.set("here")
        self.addCleanup(_name.set, "nobody")
        ids = current_ids()
        named, told = self.threads.run(self.work), self.threads.run(current_ids)
        current.set(None)
        _name.set("there")
        self.held.release()
        self.assertEqual(self.successResultOf(named), "here")
        self.assertEqual(self.successResultOf(told), ids)

    def test_cancelled(self) -> None:
        """Who cancels is told so after the function has ended, and not before: it may use a file that
        is closed then.
        """
        work = self.threads.run(self.work)
        work.cancel()
        self.assertNoResult(work)
        self.held.release()
        self.failureResultOf(work, CancelledError)
        self.assertEqual(self.span.details.spent, {THREAD_POOL: 0, DISK: 2})
