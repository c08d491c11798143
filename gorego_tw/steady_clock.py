"""A clock for the reactor that is never set.

Twisted's timers go by the time of day. When that is set back by an hour, every timer that runs comes an hour
late: deadlines, checkpoints, eviction. When it is set forward, all come at once.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time
from typing import Protocol


class Timed(Protocol):
    """A reactor, as far as its clock goes.

    :ivar seconds: the time, in seconds since the epoch.
    """

    seconds: Callable[[], float]


def steady_seconds(
    now: Callable[[], float] = time, passed: Callable[[], float] = monotonic
) -> Callable[[], float]:
    """The time of day as it was when this was called, and what has passed since, in seconds."""
    began = now() - passed()
    return lambda: passed() + began


def keep_steady(reactor: Timed) -> None:
    """Let its timers go by a clock that nobody sets. Before there are any."""
    reactor.seconds = steady_seconds()
