"""Threads of which it is known how long work waited for one, and how long it took there."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred

from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.telemetry.context import attached, bound
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.distribution import LATENCY_SECONDS, Distribution
from gorego_tw.telemetry.span import DISK, THREAD_POOL, Span

P = ParamSpec("P")
T = TypeVar("T")


class TracedThreads:
    """Disk threads (:class:`gorego_tw.storage.disk_threads.DiskThreads`).

    :param now: the time in seconds, asked in any thread.
    :ivar waited: how long work waited for a thread, in seconds.
    """

    def __init__(self, base: DiskThreads, now: Callable[[], float] = monotonic) -> None:
        self.waited = Distribution(LATENCY_SECONDS)
        self._base = base
        self._now = now
        self._work: set[_Work] = set()

    @property
    def queued(self) -> int:
        """How much work waits for a thread."""
        return sum(work.began is None for work in self._work)

    @property
    def busy(self) -> int:
        """How much work is in a thread."""
        return len(self._work) - self.queued

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """As the threads; ``function``, and what waits for its end, run in the context here, so that
        what they log has its trace.
        """
        within = bound(function)
        work = _Work(self._now())
        self._work.add(work)

        def run() -> T:
            work.began = self._now()
            try:
                return within(*args, **kwargs)
            finally:
                work.ended = self._now()

        return attached(self._base.run(run).addBoth(self._done, work, current.get()))

    def _done(self, result: T, work: _Work, span: Span | None) -> T:
        self._work.discard(work)
        # What was cancelled before it had a thread has not begun.
        began = self._now() if work.began is None else work.began
        self.waited.observe(began - work.asked)
        if span is not None:
            span.spend(THREAD_POOL, began - work.asked)
            span.spend(DISK, max(0.0, work.ended - began))
        return result


class _Work:
    """When something was given to the threads, when one took it, and when it had done it."""

    __slots__ = ("asked", "began", "ended")

    def __init__(self, asked: float) -> None:
        self.asked = asked
        self.began: float | None = None
        self.ended = 0.0
