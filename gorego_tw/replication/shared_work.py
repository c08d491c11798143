"""Work that is done once, however many wait for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, NamedTuple, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gorego_tw.errors import REFUSALS
from gorego_tw.forwarding import Metadata, forwarded, rights
from gorego_tw.telemetry.context import attached, detached
from gorego_tw.telemetry.current import enter
from gorego_tw.telemetry.joining import awaited, joined
from gorego_tw.telemetry.span import Span
from gorego_tw.telemetry.tallies import Operation

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class _Share(NamedTuple, Generic[T]):
    """One piece of work: with which rights it is done, who waits, the span."""

    rights: Metadata
    waiting: list[Deferred[T]]
    span: Span | None


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
        self._shares: dict[K, _Share[T]] = {}
        self._under_way: dict[K, Deferred[None]] = {}
        self._name = name
        self._operation = operation

    def __len__(self) -> int:
        return len(self._shares)

    def __call__(self, key: K) -> Deferred[T]:
        """What the work for ``key`` ends with. Cancelling ends the waiting alone.

        A refusal is told to those alone whose rights were refused: others have it done anew.
        """
        waiter: Deferred[T] = Deferred(lambda waiter: self._leave(key, waiter))
        own = rights(forwarded())
        share = self._shares.get(key)
        if share is not None:
            self.joined += 1
            share.waiting.append(waiter)
            told = joined(waiter, share.span, self._operation)
            return told if own == share.rights else attached(told).addErrback(self._refused, key)
        context = detached()
        share = self._shares[key] = _Share(own, [waiter], context.run(enter, self._name))
        work = context.run(Deferred.fromCoroutine, self._work(key))
        self._under_way[key] = work.addBoth(self._ended, key)
        if key not in self._shares:
            del self._under_way[key]
        return awaited(waiter)

    def _refused(self, failure: Failure, key: K) -> Deferred[T]:
        failure.trap(*REFUSALS)
        return self(key)

    def close(self) -> None:
        """Break off all of it."""
        for work in list(self._under_way.values()):
            work.cancel()

    def _leave(self, key: K, waiter: Deferred[T]) -> None:
        share = self._shares.get(key)
        if share is not None and waiter in share.waiting:
            share.waiting.remove(waiter)

    def _ended(self, result: T | Failure, key: K) -> None:
        self._under_way.pop(key, None)
        # Gone before anybody is told: who asks again because of what it is told begins anew.
        share = self._shares.pop(key)
        if share.span is not None:
            share.span.end_with(result)
        for waiter in share.waiting:
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)
