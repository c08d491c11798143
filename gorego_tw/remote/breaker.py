"""The circuit breaker: a backing cache that fails again and again is left alone for a while.

What follows what is the table; how long "a while" is, is :mod:`gorego_tw.remote.probe`'s affair.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from txaio.tx import make_logger

from gorego_tw.errors import Code, StatusError, Unavailable

T = TypeVar("T")

#: So many failures in a row open it.
FAILURES = 5

_FAILURES = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN})


class State(Enum):
    """Whether calls go out."""

    CLOSED = "closed"  #: they do
    OPEN = "open"  #: they fail at once
    HALF_OPEN = "half_open"  #: one does, to see how it goes; the others fail at once


class Input(Enum):
    """What may change that."""

    SUCCESS = "success"
    TOO_MANY_FAILURES = "too many failures"
    PROBE = "probe"


#: A success closes it in any state: also that of a call which had left before it opened says
#: that the peer answers. A failure of the probe is one too many.
TABLE: Mapping[State, Mapping[Input, State]] = {
    State.CLOSED: {
        Input.SUCCESS: State.CLOSED,
        Input.TOO_MANY_FAILURES: State.OPEN,
        Input.PROBE: State.CLOSED,
    },
    State.OPEN: {
        Input.SUCCESS: State.CLOSED,
        Input.TOO_MANY_FAILURES: State.OPEN,
        Input.PROBE: State.HALF_OPEN,
    },
    State.HALF_OPEN: {
        Input.SUCCESS: State.CLOSED,
        Input.TOO_MANY_FAILURES: State.OPEN,
        Input.PROBE: State.HALF_OPEN,
    },
}


class CircuitOpen(Unavailable):
    """The peer was not asked, because it failed too often."""


def is_failure(error: StatusError) -> bool:
    """Whether the peer could not answer. Any other status is an answer."""
    return error.code in _FAILURES


class Breaker:
    """Counts the failures of one peer.

    :param name: of the peer, for the log.
    :param failures: so many in a row open it.
    :ivar name: as given.
    :ivar state: now.
    :ivar opened: how often it has opened.
    :ivar refused: how many calls failed at once.
    :ivar observers: called with the state at each change.
    """

    _log = make_logger()

    def __init__(self, name: str, *, clock: IReactorTime, failures: int = FAILURES) -> None:
        self.state = State.CLOSED
        self.opened = 0
        self.refused = 0
        self.observers: list[Callable[[State], object]] = []
        self.name = name
        self._clock = clock
        self._most = failures
        self._failures = 0
        self._since = clock.seconds()
        self._reason = ""

    @property
    def seconds(self) -> float:
        """How long it has been closed, or else not closed, in seconds."""
        return self._clock.seconds() - self._since

    @property
    def reason(self) -> str:
        """The last failure, if it is not closed."""
        return "" if self.state is State.CLOSED else self._reason

    def check(self) -> None:
        """Whether a call may go out.

        :raises CircuitOpen: it may not.
        """
        if self.state is not State.CLOSED:
            self.refused += 1
            raise CircuitOpen(
                f"backing cache: not asked, after {self._failures} failures in a row, "
                f"the last of them: {self._reason.removeprefix('backing cache: ')}"
            )

    def succeeded(self) -> None:
        """The peer has answered."""
        if self._failures:
            self._failures = 0
            self._move(Input.SUCCESS)

    def failed(self, error: StatusError) -> None:
        """The peer could not answer; or it could, and the answer was that failure."""
        if not is_failure(error):
            self.succeeded()
        elif not isinstance(error, CircuitOpen):
            self._failures += 1
            self._reason = error.message
            if self._failures >= self._most:
                self._move(Input.TOO_MANY_FAILURES)

    def probing(self) -> None:
        """One call goes out now in spite of all."""
        self._move(Input.PROBE)

    async def guard(self, call: Callable[[], Awaitable[T]]) -> T:
        """What ``call`` gives, if it may go out.

        :raises CircuitOpen: it may not.
        """
        self.check()
        return await self.watch(call)

    async def watch(self, call: Callable[[], Awaitable[T]]) -> T:
        """What ``call`` gives; how it ends is counted, unless it is cancelled."""
        try:
            result = await call()
        except StatusError as error:
            self.failed(error)
            raise
        self.succeeded()
        return result

    def _move(self, what: Input) -> None:
        before, self.state = self.state, TABLE[self.state][what]
        if self.state is before:
            return
        if State.CLOSED in {before, self.state}:
            self._tell()
            self._since = self._clock.seconds()
        for observer in self.observers:
            observer(self.state)

    def _tell(self) -> None:
        if self.state is State.CLOSED:
            self._log.info(
                "{name} answers again, after {seconds:.1f} s",
                name=self.name,
                seconds=self.seconds,
            )
        else:
            self.opened += 1
            self._log.warn(
                "{name} is left alone after {failures} failures in a row, the last: {reason}",
                name=self.name,
                failures=self._failures,
                reason=self._reason,
            )
