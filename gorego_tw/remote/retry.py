"""When a call to the backing cache is tried again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from google.rpc.error_details_pb2 import RetryInfo
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from gorego_tw.errors import Code, StatusError
from gorego_tw.remote.breaker import CircuitOpen
from gorego_tw.remote.no_answer import NoAnswer

T = TypeVar("T")

#: The wait before the first new try is up to the first of these, in seconds; it doubles up to the second.
FIRST_SECONDS = 0.1
MOST_SECONDS = 10.0

#: The longest wait that a peer may ask for, in seconds. Whoever wants more has to be given up.
MOST_ASKED_SECONDS = 30.0

#: The peer could not answer; what is asked of it may be asked twice.
_RETRYABLE = frozenset(
    {
        Code.UNAVAILABLE,
        Code.ABORTED,
        Code.DEADLINE_EXCEEDED,
        Code.INTERNAL,
        Code.UNKNOWN,
    }
)


def asked_seconds(error: StatusError) -> float | None:
    """How long the peer wants to be left alone (google.rpc.RetryInfo), in seconds; None if it does not say."""
    for detail in error.details:
        if isinstance(detail, RetryInfo):
            return float(detail.retry_delay.seconds + detail.retry_delay.nanos / 1e9)
    return None


def is_retryable(error: StatusError) -> bool:
    """Whether a new try may go well. An open breaker says that none would."""
    if isinstance(error, CircuitOpen):
        return False
    if error.code is Code.RESOURCE_EXHAUSTED:
        return asked_seconds(error) is not None
    return error.code in _RETRYABLE


class Backoff:
    """The waits of one call: exponential, each anything from nothing to its most ("full jitter"),
    so that those who failed together do not come back together.

    :param retries: how often it is tried again.
    """

    def __init__(self, retries: int, random: Random) -> None:
        self._retries = retries
        self._random = random
        self._left = retries
        self._most = FIRST_SECONDS
        self._progressed = False

    def reset(self) -> None:
        """There was progress: what comes is counted anew."""
        self._left = self._retries
        self._most = FIRST_SECONDS
        self._progressed = True

    def after(self, error: StatusError) -> float | None:
        """How long to wait after that failure, in seconds; None to give up.

        A peer that says nothing is asked again only if it had said something since the last failure:
        all tries together take as long as one, and not as often.
        """
        progressed, self._progressed = self._progressed, False
        if not self._left or not is_retryable(error):
            return None
        if isinstance(error, NoAnswer) and not progressed:
            return None
        self._left -= 1
        wait = self._random.uniform(0, self._most)
        self._most = min(2 * self._most, MOST_SECONDS)
        asked = asked_seconds(error)
        return wait if asked is None else min(asked, MOST_ASKED_SECONDS) + wait


class Retrying:
    """Tries calls again.

    :param retries: how often each is.
    :ivar clock: as given.
    :ivar retried: how many new tries there were.
    """

    def __init__(self, retries: int, *, clock: IReactorTime, random: Random) -> None:
        self.retried = 0
        self.clock = clock
        self._retries = retries
        self._random = random

    def backoff(self) -> Backoff:
        """The waits of one call."""
        return Backoff(self._retries, self._random)

    async def wait(self, backoff: Backoff, error: StatusError) -> None:
        """Wait as long as is due after that failure.

        :raises StatusError: the failure itself, if it is not to be tried again.
        """
        seconds = backoff.after(error)
        if seconds is None:
            raise error
        self.retried += 1
        await deferLater(self.clock, seconds)

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What ``attempt`` gives, if need be at a later try.

        :raises StatusError: the failure of the last one.
        """
        backoff = self.backoff()
        while True:
            try:
                return await attempt()
            except StatusError as error:
                await self.wait(backoff, error)
