"""The messages that come in one streaming call."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from grpc.aio import EOF, AioRpcError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gorego_tw.errors import StatusError, Unavailable
from gorego_tw.remote.no_answer import no_answer
from gorego_tw.remote.patience import Patience
from gorego_tw.remote.status import status_of


class Call(Protocol):
    """A streaming call of grpc.aio."""

    async def read(self) -> Any:
        """The next message, or EOF.

        :raises AioRpcError: it has failed.
        """

    def cancel(self) -> bool:
        """Break it off, unless it has ended."""


class Replies:
    """Takes a message when the one before was taken, so the peer waits for who is slow.

    One task of asyncio takes all of them, and whoever waits for one goes on within it: a task and
    a timer for each would cost as much as the message does.

    :param seconds: how long a message may take.
    """

    def __init__(self, call: Call, seconds: float, clock: IReactorTime) -> None:
        self._call = call
        self._seconds = seconds
        self._waiting: Deferred[Any] | None = None  # who waits for a message
        self._wanted: asyncio.Future[None] | None = None  # the task waits for who wants one
        self._patience = Patience(seconds, clock, self._late)
        self._task = asyncio.ensure_future(self._take())

    def next(self) -> Deferred[Any]:
        """The next message, or grpc.aio's EOF. Who cancels it asks for no other.

        :raises StatusError: the call has failed, or the message does not come in time.
        """
        self._patience.asked()
        self._waiting = waiting = Deferred[Any](self._forget)
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            wanted.set_result(None)
        return waiting

    def close(self) -> None:
        """Take no more, and break the call off if it has not ended."""
        self._patience.close()
        self._waiting = None
        self._task.cancel()
        self._call.cancel()

    async def _take(self) -> None:
        reply: Any = None
        while reply is not EOF:
            if self._waiting is None:
                self._wanted = asyncio.get_running_loop().create_future()
                await self._wanted
            try:
                reply = await self._call.read()
            except AioRpcError as error:
                self._fail(status_of(error, self._seconds))
                return
            except asyncio.CancelledError:  # a channel that is closed does that
                self._fail(Unavailable("backing cache: the call was broken off"))
                raise
            waiting = self._take_waiting()
            if waiting is not None:
                waiting.callback(reply)

    def _fail(self, error: StatusError) -> None:
        waiting = self._take_waiting()
        if waiting is not None:
            waiting.errback(error)

    def _forget(self, _: Deferred[Any]) -> None:
        self._take_waiting()

    def _late(self) -> None:
        self._fail(no_answer(self._seconds))

    def _take_waiting(self) -> Deferred[Any] | None:
        self._patience.answered()
        waiting, self._waiting = self._waiting, None
        return waiting
