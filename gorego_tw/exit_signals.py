"""The signals that end the daemon."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import ClassVar, Protocol

from twisted.application.service import Service
from twisted.internet.error import ReactorNotRunning

#: What a service manager sends, and Control-C.
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StoppableReactor(Protocol):
    """What this needs of a reactor."""

    def callWhenRunning(self, callable: Callable[[], object], /) -> object:
        """As of IReactorCore."""

    def callFromThread(self, callable: Callable[[], object], /) -> None:
        """As of IReactorFromThreads."""

    def stop(self) -> None:
        """As of IReactorCore."""


class ExitSignals(Service):
    """Lets a signal stop the reactor and the process end with exit code 0.

    Twisted's own reaction stops the reactor too, but twistd then dies of the signal, which
    looks like a crash. A second signal does not wait for the calls that are running.

    :param reactor: is stopped.
    :cvar received: whether one has come: to the process, so that it is of the class.
    """

    received: ClassVar[bool] = False

    def __init__(self, reactor: StoppableReactor) -> None:
        self._reactor = reactor

    def startService(self) -> None:
        """Take the signals over, once the reactor has taken them."""
        super().startService()
        self._reactor.callWhenRunning(self._take)

    def _take(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._received)

    def _received(self, number: int, frame: FrameType | None) -> None:
        ExitSignals.received = True
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        # Between two instructions of whatever was running: the reactor is woken, not touched.
        self._reactor.callFromThread(self._stop)

    def _stop(self) -> None:
        with suppress(ReactorNotRunning):  # it is on its way already
            self._reactor.stop()
