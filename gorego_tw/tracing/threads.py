"""Threads of which it is known how long work waited for one, and how long it took there."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred

from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.telemetry.context import attached, bound
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.span import DISK, THREAD_POOL

P = ParamSpec("P")
T = TypeVar("T")


class TracedThreads:
    """Disk threads (:class:`gorego_tw.storage.disk_threads.DiskThreads`)."""

    def __init__(self, base: DiskThreads) -> None:
        self._base = base

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """As the threads; ``function``, and what waits for its end, run in the context here, so that
        what they log has its trace.
        """
        span = current.get()
        if span is None:
            return self._base.run(function, *args, **kwargs)
        now = span.root.recorder.now
        asked = now()
        within = bound(function)
        began = ended = asked

        def run() -> T:
            nonlocal began, ended
            began = now()
            try:
                return within(*args, **kwargs)
            finally:
                ended = now()

        def tell(result: T) -> T:
            span.spend(THREAD_POOL, began - asked)
            span.spend(DISK, ended - began)
            return result

        return attached(self._base.run(run).addBoth(tell))
