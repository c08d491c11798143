"""Starting services in order, stopping them in reverse order, and knowing when all are ready.

Twisted's MultiService starts its children without waiting for one before the next, and
stops them all at once. Here a port must not open before the store behind it, and a
store must not close before the calls that use it have ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from twisted.application.service import IService, Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.python.failure import Failure
from txaio.tx import make_logger


class StartError(Exception):
    """Why the start cannot go on and what has to change, in one line."""


class Lifecycle(Service):
    """The children as one service.

    ``startService`` and ``stopService`` of a child may return a Deferred or a coroutine,
    which is waited for.

    :param children: makes the children in the order of their start. It may be a
        generator: it goes on to the next child when the one before has started.
    :param give_up: told of the error if the start fails, after what had started was
        stopped. What it raises leaves ``startService`` if the start failed at once.
    """

    _log = make_logger()

    def __init__(
        self, children: Callable[[], Iterable[IService]], give_up: Callable[[Exception], None]
    ) -> None:
        self._children = children
        self._give_up = give_up
        self._started: list[IService] = []
        self._starting: Deferred[None] | None = None
        self._ready = False

    @property
    def ready(self) -> bool:
        """Whether all children have started and none was told to stop."""
        return self._ready

    def startService(self) -> None:
        """Start the children. Those that need time go on doing so after this returns."""
        super().startService()
        failures: list[Failure] = []
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(failures.append)
        if failures:
            failures[0].raiseException()

    def stopService(self) -> Deferred[None]:
        """Stop what has started, the last first, each after the one before has stopped."""
        super().stopService()
        self._ready = False
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        try:
            for child in self._children():
                await maybeDeferred(child.startService)
                self._started.append(child)
        except CancelledError:
            return  # by stopService, which stops what has started
        except Exception as error:  # whatever it is, there is no service without this child
            await self._stop_children()
            self._give_up(error)
        else:
            self._ready = True

    async def _stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await self._starting
        await self._stop_children()

    async def _stop_children(self) -> None:
        while self._started:
            child = self._started.pop()
            try:
                await maybeDeferred(child.stopService)
            except Exception:  # the next ones hold data that has to be flushed all the same
                self._log.failure("{child} did not stop as it should", child=child)


class Opened(Service):
    """Something that was opened when it was made, as a child that only has to be closed.

    :param close: closes it; what it returns is waited for.
    """

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        self._close = close

    async def stopService(self) -> None:
        """Close it."""
        super().stopService()
        await self._close()
