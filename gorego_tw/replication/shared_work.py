"""Work that is done once, however many wait for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gorego_tw.telemetry.context import detached
from gorego_tw.telemetry.current import enter
from gorego_tw.telemetry.joining import awaited, joined
from gorego_tw.telemetry.span import Span
from gorego_tw.telemetry.tallies import Operation

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SharedWork(Generic[K, T]):
    """One coroutine per key at a time; who asks meanwhile waits for its end.

    It belongs to nobody who waits: it goes on when they leave, in a context of its own.
    As much is under way as there are calls that began it, which the transport bounds.

    :param work: begins it.
    :param name: of the span of the work.
    :param operation: of the backing cache that it is, for who counts.
    :ivar joined: how often somebody waited for what another had begun.
    """

    def __init__(
        self,
        work: Callable[[K], Coroutine[Deferred[Any], Any, T]],
        name: str = "shared work",
        operation: Operation | None = None,
    ) -> None:
        self.joined = 0
        self._work = work
        self._waiting: dict[K, list[Deferred[T]]] = {}
        self._under_way: dict[K, Deferred[None]] = {}
        self._spans: dict[K, Span] = {}
        self._name = name
        self._operation = operation

    def __len__(self) -> int:
        return len(self._waiting)

    def __call__(self, key: K) -> Deferred[T]:
        """What the work for ``key`` ends with. Cancelling ends the waiting alone."""
        waiter: Deferred[T] = Deferred(lambda waiter: self._leave(key, waiter))
        waiting = self._waiting.get(key)
        if waiting is not None:
            self.joined += 1
            waiting.append(waiter)
            return joined(waiter, self._spans.get(key), self._operation)
        self._waiting[key] = [waiter]
        context = detached()
        span = context.run(enter, self._name)
        if span is not None:
            self._spans[key] = span
        work = context.run(Deferred.fromCoroutine, self._work(key))
        self._under_way[key] = work.addBoth(self._ended, key)
        if key not in self._waiting:
            del self._under_way[key]
        return awaited(waiter)

    def close(self) -> None:
        """Break off all of it."""
        for work in list(self._under_way.values()):
            work.cancel()

    def _leave(self, key: K, waiter: Deferred[T]) -> None:
        waiting = self._waiting.get(key, [])
        if waiter in waiting:
            waiting.remove(waiter)

    def _ended(self, result: T | Failure, key: K) -> None:
        self._under_way.pop(key, None)
        span = self._spans.pop(key, None)
        if span is not None:
            span.end_with(result)
        # Gone before anybody is told: who asks again because of what it is told begins anew.
        for waiter in self._waiting.pop(key):
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)
