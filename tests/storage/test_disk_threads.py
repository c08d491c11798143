"""Threads for the disk, real ones and those of the tests, by one contract."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from gorego_tw.storage.disk_threads import (
    DiskThreadPool,
    DiskThreads,
    HeldDiskThreads,
    NoDiskThreads,
)

if TYPE_CHECKING:
    Case = TestCase
else:
    Case = object


class DiskThreadsContract(Case):
    """Something that runs functions.

    :ivar threads: the thing.
    """

    threads: DiskThreads

    def release(self) -> None:
        """Let what waits be run."""

    def test_result(self) -> Deferred[None]:
        """What the function returns is the result."""
        work = self.threads.run(divmod, 7, 2)
        self.release()
        return work.addCallback(self.assertEqual, (3, 1))

    def test_keywords(self) -> Deferred[None]:
        """Arguments are passed as they are given."""
        work = self.threads.run(int, "11", base=2)
        self.release()
        return work.addCallback(self.assertEqual, 3)

    def test_failure(self) -> Deferred[object]:
        """What the function raises is the failure."""
        work: Deferred[object] = self.threads.run(divmod, 1, 0)
        self.release()
        return self.assertFailure(work, ZeroDivisionError)


class NoDiskThreadsTests(DiskThreadsContract, TestCase):
    def setUp(self) -> None:
        self.threads = NoDiskThreads()

    def test_at_once(self) -> None:
        """Everything is done before it is asked for again."""
        self.assertEqual(self.successResultOf(self.threads.run(len, "abc")), 3)


class HeldDiskThreadsTests(DiskThreadsContract, TestCase):
    def setUp(self) -> None:
        self.held = self.threads = HeldDiskThreads()

    def release(self) -> None:
        self.held.release()


class DiskThreadPoolTests(DiskThreadsContract, TestCase):
    def setUp(self) -> None:
        self.pool = self.threads = DiskThreadPool(reactor)  # type: ignore[arg-type]  # a module to mypy
        self.pool.startService()
        self.addCleanup(self.pool.stopService)

    def test_in_a_thread(self) -> Deferred[None]:
        """The function runs in another thread, the callback in this one."""
        here = threading.get_ident()

        def check(there: int) -> None:
            self.assertNotEqual(there, here)
            self.assertEqual(threading.get_ident(), here)

        return self.threads.run(threading.get_ident).addCallback(check)

    def test_cancelled(self) -> Deferred[None]:
        """Who cancels is told so after the function has ended, and not before."""
        begun, go, ended = threading.Event(), threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            go.wait(10)
            ended.set()

        running = self.threads.run(work)
        begun.wait(10)
        running.cancel()
        self.assertNoResult(running)
        go.set()
        return self.assertFailure(running, CancelledError).addCallback(
            lambda _: self.assertTrue(ended.is_set())
        )


class WaitingTests(SynchronousTestCase):
    def test_cancelled_before_it_ran(self) -> None:
        """What was cancelled while it waited fails when its turn has come."""
        threads = HeldDiskThreads()
        work = threads.run(len, "abc")
        work.cancel()
        self.assertNoResult(work)
        threads.release()
        self.failureResultOf(work, CancelledError)
