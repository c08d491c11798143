"""Contexts and what leaves them: callbacks of Deferreds, timers, threads.

A coroutine keeps its context. A callback runs in that of whoever fires the Deferred, a timer in
the reactor's, a function in a thread in an empty one (Twisted issues 9807 and 9824): what crosses
there takes the context along by what is here. It holds OpenTelemetry's context as well, which is
a context variable.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from gorego_tw import forwarding
from gorego_tw.telemetry.current import Cause, cause, current

P = ParamSpec("P")
T = TypeVar("T")


def bound(function: Callable[P, T]) -> Callable[P, T]:
    """``function``, which runs in a copy of the context here, whoever calls it and when."""
    context = copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        # A copy for each call: a context that is entered cannot be entered again.
        return context.copy().run(function, *args, **kwargs)

    return run


class BoundDeferred(Deferred[T]):
    """A Deferred whose callbacks, whenever they are added, run in the context it was made in."""

    def __init__(self, canceller: Callable[[Deferred[T]], None] | None = None) -> None:
        super().__init__(canceller)
        self._context = copy_context()

    # Each of the four keeps its callbacks by itself, so each is told to bind them first.

    def addCallbacks(self, callback: Any, errback: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As of any Deferred."""
        return super().addCallbacks(self._bound(callback), self._bound(errback), *args, **kwargs)

    def addCallback(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """As of any Deferred."""
        return super().addCallback(self._bound(callback), *args, **kwargs)

    def addErrback(self, errback: Any, *args: Any, **kwargs: Any) -> Any:
        """As of any Deferred."""
        return super().addErrback(self._bound(errback), *args, **kwargs)

    def addBoth(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """As of any Deferred."""
        return super().addBoth(self._bound(callback), *args, **kwargs)

    def _bound(self, function: Any) -> Any:
        if function is None:
            return None

        def run(*args: Any, **kwargs: Any) -> Any:
            return self._context.copy().run(function, *args, **kwargs)

        return run


def attached(deferred: Deferred[T]) -> Deferred[T]:
    """The result of ``deferred``, with the context here attached: callbacks that are added to what
    is returned run in it, whoever fires ``deferred``, and whoever adds them. Cancelling is passed
    on, and takes effect when ``deferred`` fires, which may be later (``finish_first``).
    """

    def cancel(_: Deferred[T]) -> None:
        deferred.cancel()
        if not result.called:
            result.pause()
            result.errback(Failure(CancelledError()))

    result: BoundDeferred[T] = BoundDeferred(cancel)

    def tell(value: T | Failure) -> None:
        if result.called:
            result.unpause()
        else:
            result.callback(value)  # a Failure makes it fail

    deferred.addBoth(tell)
    return result


def detached() -> Context:
    """A context for work that outlives the request it is begun for.

    It keeps the metadata that travels on, and what began it; it is no part of the request, whose
    span will have ended.
    """
    context = forwarding.detached()
    context.run(cause.set, cause_here())
    return context


def cause_here() -> Cause | None:
    """What work that is begun here is to keep of what it is begun for."""
    span = current.get()
    if span is None:
        return cause.get()
    root = span.root
    return Cause(span.context, root.recorder, root.tallies)
