"""Threads of which it is known how long work waited for one, and how long it took there."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred

from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.span import DISK, THREAD_POOL

P = ParamSpec("P")
T = TypeVar("T")


class TracedThreads:
    """Disk threads (:class:`gorego_tw.storage.disk_threads.DiskThreads`)."""

    def __init__(self, base: DiskThreads) -> None:
        self._base = base

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """As the threads; ``function`` runs in the context here, so that what it logs has its trace."""
        span = current.get()
        if span is None:
            return self._base.run(function, *args, **kwargs)
        now = span.root.recorder.now
        asked = now()
        context = copy_context()
        began = ended = asked

        def run() -> T:
            nonlocal began, ended
            began = now()
            try:
                return context.run(function, *args, **kwargs)
            finally:
                ended = now()

        def tell(result: T) -> T:
            span.spend(THREAD_POOL, began - asked)
            span.spend(DISK, ended - began)
            return result

        return self._base.run(run).addBoth(tell)
