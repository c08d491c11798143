"""Small tools for Deferreds and coroutines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from threading import Thread
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    FirstError,
    gatherResults,
    succeed,
)
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from txaio.tx import make_logger

from gorego_tw.errors import StatusError

T = TypeVar("T")

#: How many coroutines of one gathering run at the same time. Each may hold an open file while it
#: waits for one of the disk's 8 threads: 32 keep those busy, and 30 gatherings together stay
#: below 1,024 files.
GATHER_WIDTH = 32


def finish_first(work: Deferred[T]) -> Deferred[T]:
    """What ``work`` ends with, for work that cannot be broken off.

    :returns: a Deferred that fails with ``CancelledError`` when it is cancelled, but
        not before ``work`` has ended: what the work uses can be let go safely then.
    """

    def cancel(outcome: Deferred[T]) -> None:
        outcome.pause()
        outcome.errback(Failure(CancelledError()))

    def end(result: T | Failure) -> None:
        if outcome.called:
            outcome.unpause()
        elif isinstance(result, Failure):
            outcome.errback(result)
        else:
            outcome.callback(result)

    outcome: Deferred[T] = Deferred(cancel)
    work.addBoth(end)
    return outcome


def cancelled_as_such(work: Deferred[T]) -> Deferred[T]:
    """What ``work`` ends with, for work that makes any failure of a cancellation.

    :returns: a Deferred that fails with ``CancelledError`` when it is cancelled: a connection that is being
        made ends with ConnectingCancelledError then, or as if its host had no address.
    """
    left = False

    def cancel(_: Deferred[T]) -> None:
        nonlocal left
        left = True
        work.cancel()

    def fail(reason: Failure) -> None:
        outcome.errback(Failure(CancelledError()) if left else reason)

    outcome: Deferred[T] = Deferred(cancel)
    work.addCallbacks(outcome.callback, fail)
    return outcome


async def close(iterator: AsyncIterator[T]) -> None:
    """Close it, if it can be closed."""
    aclose = getattr(iterator, "aclose", None)
    if aclose is not None:
        await aclose()


@asynccontextmanager
async def closing(iterator: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """``iterator``, closed at the end of the block if it can be closed.

    As ``contextlib.aclosing``, for iterators that are no generators too.
    """
    try:
        yield iterator
    finally:
        await close(iterator)


@contextmanager
def first_failure() -> Iterator[None]:
    """What went wrong matters, not where in the list of a ``gatherResults``."""
    try:
        yield
    except FirstError as first:
        first.subFailure.raiseException()


async def gather(
    coroutines: Iterable[Coroutine[Deferred[Any], Any, T]], width: int = GATHER_WIDTH
) -> list[T]:
    """What each of them returns, in their order; up to ``width`` of them run at the same time.

    If one fails, those that run are cancelled and the others are not begun.
    """
    results: dict[int, T] = {}
    waiting = enumerate(coroutines)

    async def work() -> None:
        for at, coroutine in waiting:
            results[at] = await coroutine

    workers: list[Deferred[None]] = []
    # A worker that ends at once has found nothing left to do, or a failure.
    while len(workers) < width and not (workers and workers[-1].called):
        workers.append(Deferred.fromCoroutine(work()))
    try:
        with first_failure():
            await gatherResults(workers, consumeErrors=True)
    except BaseException:
        for worker in workers:
            worker.cancel()
        raise
    return [results[at] for at in range(len(results))]


def in_daemon_thread(reactor: IReactorFromThreads, function: Callable[[], T]) -> Deferred[T]:
    """What ``function`` returns, from a thread of its own, for which the end of the process does not wait."""
    result: Deferred[T] = Deferred()

    def run() -> None:
        try:
            value: T | Failure = function()
        except Exception:  # whatever it is, who waits for the result is told
            value = Failure()
        reactor.callFromThread(result.callback, value)

    Thread(target=run, name="daemon", daemon=True).start()
    return result


class Periodic(Service):
    """Does ``work`` again and again, whatever becomes of it.

    :param name: what the work is, for the log.
    :param work: called each time; the next time is not before what it returned has ended.
    :param seconds: from one start of the work to the next, in seconds.
    :ivar failures: how often the work has failed.
    """

    _log = make_logger()

    def __init__(
        self, name: str, work: Callable[[], Awaitable[None]], seconds: float, clock: IReactorTime
    ) -> None:
        self.name = name
        self.failures = 0
        self._work = work
        self._seconds = seconds
        self._clock = clock
        self._loop = LoopingCall(self._tick)
        self._loop.clock = clock
        self._ended: Deferred[object] = succeed(None)
        self._busy = False
        self._woken = False
        self._trouble_told = ""

    def startService(self) -> None:
        """Begin; the work is done for the first time after ``seconds``."""
        super().startService()
        self._begin(now=False)

    def stopService(self) -> Deferred[object]:
        """Do the work no more.

        :returns: fires when the work that is under way, if any, has ended.
        """
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return self._ended

    def wake(self) -> None:
        """Do the work at the next turn of the reactor, if it is not under way."""
        if self.running and not self._busy and not self._woken:
            self._woken = True
            self._clock.callLater(0, self._now)

    def _begin(self, *, now: bool) -> None:
        self._ended = Deferred()
        ended = self._ended
        self._loop.start(self._seconds, now=now).addBoth(ended.callback)

    def _now(self) -> None:
        self._woken = False
        if self.running and not self._busy:
            self._loop.stop()
            self._begin(now=True)

    def _tick(self) -> Deferred[None]:
        # In nobody's context, whoever has woken it.
        return Context().run(lambda: Deferred.fromCoroutine(self._guarded()))

    async def _guarded(self) -> None:
        self._busy = True
        try:
            await self._work()
            self._trouble_told = ""
        except (StatusError, OSError) as error:
            self._tell_trouble(str(error))
        except Exception:  # the next time may go well, and without a next time nothing would
            self.failures += 1
            self._log.failure("{name} failed", name=self.name)
        finally:
            self._busy = False

    def _tell_trouble(self, trouble: str) -> None:
        """It cannot be done for now: said again when it is something else, or has gone well in between."""
        self.failures += 1
        if trouble != self._trouble_told:
            self._log.warn("{name}: {trouble}", name=self.name, trouble=trouble)
        self._trouble_told = trouble
