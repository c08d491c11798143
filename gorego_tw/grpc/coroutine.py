"""One coroutine, driven in one context from its first step to its last.

``Deferred.fromCoroutine`` would do the same in a *copy* of the context and with a Deferred even
where the coroutine never waits. Here a coroutine that can answer at once does so in the caller's
stack, without an object of its own, and a token that was set in the coroutine can be reset in it
after any await.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

#: Told the value returned, or None and what was raised.
Done: TypeAlias = Callable[[Any, Exception | None], None]

_Steps: TypeAlias = Coroutine[Deferred[Any], Any, Any]


def drive(done: Done, make: Callable[..., _Steps], *args: object) -> Driver | None:
    """Run the coroutine that ``make`` makes of ``args``, both in a new copy of the context here.

    :param done: called once, at the end.
    :returns: what drives it on; None if it has ended.
    """
    context = copy_context()
    try:
        coroutine, awaited = context.run(_first_step, make, args)
    except StopIteration as stop:
        done(stop.value, None)
    except Exception as error:  # whatever a service raises ends in a status
        done(None, error)
    else:
        return Driver(coroutine, awaited, done, context)
    return None


def _first_step(
    make: Callable[..., _Steps], args: tuple[object, ...]
) -> tuple[_Steps, Deferred[Any]]:
    coroutine = make(*args)
    return coroutine, coroutine.send(None)


class Driver:
    """Runs a coroutine on that has begun to wait.

    :param awaited: what it waits for.
    :param context: where it runs; nothing else runs there.
    """

    __slots__ = ("_awaited", "_context", "_coroutine", "_done")

    def __init__(
        self, coroutine: _Steps, awaited: Deferred[Any], done: Done, context: Context
    ) -> None:
        self._coroutine = coroutine
        self._done = done
        self._context = context
        self._awaited: Deferred[Any] | None = awaited
        awaited.addBoth(self._advance)

    def cancel(self) -> None:
        """Raise ``CancelledError`` where the coroutine waits. Nothing if it does not."""
        if self._awaited is not None:
            self._awaited.cancel()

    def _advance(self, result: object) -> None:
        self._awaited = None
        try:
            if isinstance(result, Failure):
                awaited = self._context.run(self._throw, result.value)
            else:
                # A Deferred that is awaited gives its result itself; what is sent does not matter.
                awaited = self._context.run(self._coroutine.send, None)
        except StopIteration as stop:
            self._done(stop.value, None)
        except Exception as error:  # whatever a service raises ends in a status
            self._done(None, error)
        else:
            self._awaited = awaited
            awaited.addBoth(self._advance)

    def _throw(self, error: BaseException | None) -> Deferred[Any]:
        assert error is not None  # a Failure in flight has its exception
        return self._coroutine.throw(error)
