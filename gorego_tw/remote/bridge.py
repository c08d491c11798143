"""Awaiting what asyncio gives from what Twisted drives; both run on one loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gorego_tw.errors import Unavailable

T = TypeVar("T")


def deferred(awaitable: Awaitable[T]) -> Deferred[T]:
    """What ``awaitable`` gives. Cancelling cancels it, and does not wait for its end.

    :raises Unavailable: somebody else has cancelled it, as a channel does that is closed.
    """
    task = asyncio.ensure_future(awaitable)

    def cancel(_: Deferred[T]) -> None:
        task.cancel()

    def end(ended: asyncio.Future[T]) -> None:
        error: BaseException | None
        if ended.cancelled():
            error = Unavailable("backing cache: the call was broken off")
        else:
            error = ended.exception()
        if result.called:
            return  # it was cancelled; how the task took that matters to nobody
        if error is None:
            result.callback(ended.result())
        else:
            result.errback(Failure(error))

    result: Deferred[T] = Deferred(cancel)
    task.add_done_callback(end)
    return result
