"""The control service in this process, of a folder that no daemon holds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from google.protobuf.message import Message
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from gorego_tw.command.connection import Refused, ReplyT
from gorego_tw.control.service import SERVICE, Control
from gorego_tw.errors import StatusError

T = TypeVar("T")


@implementer(IReactorTime)
class WallClock:
    """The time, where nothing happens later: there is no reactor."""

    def seconds(self) -> float:
        """Since the epoch."""
        return time.time()

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kwargs: object
    ) -> IDelayedCall:
        """Not here.

        :raises RuntimeError: always.
        """
        raise RuntimeError("there is no later without a reactor")

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """None."""
        return []


async def sleep(seconds: float) -> None:
    """Wait, and let the whole process wait."""
    if seconds:
        time.sleep(seconds)  # noqa: ASYNC251 - nothing else is going on


def finished(awaitable: Awaitable[T]) -> T:
    """What a coroutine returns or raises that never has to wait."""
    results: list[T] = []
    failures: list[Failure] = []

    async def wait() -> T:
        return await awaitable

    Deferred.fromCoroutine(wait()).addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    (result,) = results
    return result


class Direct:
    """Calls without a socket.

    :param service: of a tier whose threads run everything at once.
    :param settle: called after each request, and between messages: nobody else takes checkpoints here.
    """

    def __init__(self, service: Control, settle: Callable[[], Awaitable[None]]) -> None:
        self._methods = service.methods()
        self._settle = settle

    def ask(self, method: str, request: Message, reply: type[ReplyT]) -> ReplyT:
        """One request, one reply."""
        with _refused():
            answer: ReplyT = finished(self._call(method, request))
            finished(self._settle())
        return answer

    def stream(self, method: str, request: Message, reply: type[ReplyT]) -> Generator[ReplyT]:
        """One request, and replies as they come."""
        replies: AsyncIterator[ReplyT] = self._call(method, request)
        try:
            while True:
                with _refused():
                    answer = finished(_next(replies))
                if answer is None:
                    return
                yield answer
        finally:
            finished(_close(replies))

    def send(self, method: str, requests: Iterator[Message], reply: type[ReplyT]) -> ReplyT:
        """Requests as they are made, one reply."""

        async def all_of_them() -> AsyncIterator[Message]:
            for request in requests:
                yield request
                await self._settle()

        with _refused():
            answer: ReplyT = finished(self._call(method, all_of_them()))
        return answer

    def _call(self, method: str, requests: object) -> Any:
        return self._methods[SERVICE + method].handle(requests, _NO_CALL)


#: What a method is told of who calls: the service asks nothing.
_NO_CALL: Any = None


async def _next(iterator: AsyncIterator[T]) -> T | None:
    return await anext(iterator, None)


def _close(iterator: Any) -> Coroutine[Any, Any, None]:
    closing: Coroutine[Any, Any, None] = iterator.aclose()
    return closing


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except StatusError as error:
        raise Refused(error.code, error.message) from error
