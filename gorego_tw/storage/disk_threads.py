"""Threads for what the disk may take long over: cold reads, hashing, writing."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import ParamSpec, Protocol, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from gorego_tw.concurrency import finish_first

P = ParamSpec("P")
T = TypeVar("T")

#: A disk is busy with a few requests at once, and two processors with a few hashes. The queue
#: before the threads is as long as there are coroutines that wait, which the transport bounds.
THREADS = 8


class DiskThreads(Protocol):
    """Runs blocking functions somewhere else."""

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """What ``function`` returns or raises.

        Cancelling takes effect when the function has ended, so that nobody closes a file
        which a thread is using. What it returned is lost then: a function that makes
        something that must be let go leaves it where its caller can find it.
        """


class DiskThreadPool(Service):
    """A pool of its own for the disk, so that nothing else in the process waits for it.

    :param reactor: where results come back to.
    :param threads: how many.
    :param name: what they are called.
    :param kind: what they are.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        threads: int = THREADS,
        *,
        name: str = "disk",
        kind: type[Thread] = Thread,
    ) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=threads, name=name)
        self._pool.threadFactory = kind

    def startService(self) -> None:
        """Let the threads run."""
        super().startService()
        self._pool.start()

    def stopService(self) -> None:
        """Wait for what is running, then end the threads."""
        super().stopService()
        self._pool.stop()

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """As :meth:`DiskThreads.run` says."""
        work: Deferred[T] = Deferred()

        def end(_success: bool, result: T | Failure) -> None:  # in the thread
            self._reactor.callFromThread(work.callback, result)

        self._pool.callInThreadWithCallback(end, function, *args, **kwargs)
        return finish_first(work)


class NoDiskThreads:
    """Runs everything at once, where it is asked for: for tests and for one-off tools."""

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """As :meth:`DiskThreads.run` says."""
        return maybeDeferred(function, *args, **kwargs)


class HeldDiskThreads:
    """Runs nothing until it is told to: for tests of what happens meanwhile.

    :ivar held: what waits to be run, the oldest first.
    """

    def __init__(self) -> None:
        self.held: list[Callable[[], None]] = []

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """As :meth:`DiskThreads.run` says."""
        work: Deferred[T] = Deferred()

        def run_now() -> None:
            maybeDeferred(function, *args, **kwargs).chainDeferred(work)

        self.held.append(run_now)
        return finish_first(work)

    def release(self) -> None:
        """Run what waits, and what that leads to."""
        while self.held:
            self.held.pop(0)()
