"""Work that is done once, however many wait for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

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


class _Share(Generic[T]):
    """One piece of work: with which rights it is done, who waits, the span, the work itself."""

    def __init__(self, own: Metadata, span: Span | None) -> None:
        self.rights = own
        self.span = span
        self.waiting: list[Deferred[T]] = []
        self.work: Deferred[None] | None = None

    def join(self) -> Deferred[T]:
        """What it ends with. Cancelling ends the waiting alone."""
        waiter: Deferred[T] = Deferred(self._leave)
        self.waiting.append(waiter)
        return waiter

    def tell(self, result: T | Failure) -> None:
        """It has ended with that."""
        waiting, self.waiting = self.waiting, []
        for waiter in waiting:
            if waiter.called:
                continue  # one of those that were told made it leave
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)

    def _leave(self, waiter: Deferred[T]) -> None:
        if waiter in self.waiting:
            self.waiting.remove(waiter)


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
        self._under_way: set[_Share[T]] = set()
        self._name = name
        self._operation = operation

    def __len__(self) -> int:
        return len(self._under_way)

    def __call__(self, key: K) -> Deferred[T]:
        """What the work for ``key`` ends with. Cancelling ends the waiting alone.

        A refusal is told to those alone whose rights were refused: others have it done anew.
        """
        own = rights(forwarded())
        share = self._shares.get(key)
        if share is not None:
            self.joined += 1
            told = joined(share.join(), share.span, self._operation)
            return told if own == share.rights else attached(told).addErrback(self._refused, key)
        context = detached()
        share = self._shares[key] = _Share(own, context.run(enter, self._name))
        self._under_way.add(share)
        waiter = share.join()
        work = context.run(Deferred.fromCoroutine, self._work(key))
        share.work = work.addBoth(self._ended, key, share)
        return awaited(waiter)

    def forget(self, key: K) -> None:
        """Who asks from now on has it done anew; who waits goes on waiting."""
        self._shares.pop(key, None)

    def close(self) -> None:
        """Break off all of it."""
        for share in list(self._under_way):
            if share.work is not None:
                share.work.cancel()

    def _refused(self, failure: Failure, key: K) -> Deferred[T]:
        failure.trap(*REFUSALS)
        return self(key)

    def _ended(self, result: T | Failure, key: K, share: _Share[T]) -> None:
        self._under_way.remove(share)
        # Gone before anybody is told: who asks again because of what it is told begins anew.
        if self._shares.get(key) is share:
            del self._shares[key]
        if share.span is not None:
            share.span.end_with(result)
        share.tell(result)
