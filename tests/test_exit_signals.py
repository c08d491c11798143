"""The signals that end the daemon."""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.exit_signals import SIGNALS, ExitSignals


class RecordingReactor(MemoryReactorClock):
    """Counts how often it is stopped; it can be only once."""

    stops = 0

    def begin(self) -> None:
        """As the first moment of run()."""
        for function, args, kwargs in self.whenRunningHooks:
            function(*args, **kwargs)

    def callFromThread(self, callable: Any, *args: Any, **kwargs: Any) -> None:
        self.callLater(0, callable, *args, **kwargs)

    def stop(self) -> None:
        self.stops += 1
        if self.stops > 1:
            raise ReactorNotRunning


class ExitSignalsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(ExitSignals, "received", False)
        self.handlers: dict[int, Any] = {}
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.reactor = RecordingReactor()
        ExitSignals(self.reactor).startService()

    def test_after_twisted(self) -> None:
        """The reactor takes the signals when it starts to run; we take them from it."""
        self.assertEqual(self.handlers, {})
        self.reactor.begin()
        self.assertEqual(set(self.handlers), set(SIGNALS))

    def test_a_signal_stops_the_reactor(self) -> None:
        """It does so in the reactor's own time, not in the middle of something."""
        self.reactor.begin()
        self.handlers[signal.SIGTERM](signal.SIGTERM, None)
        self.assertEqual((self.reactor.stops, ExitSignals.received), (0, True))
        self.reactor.advance(0)
        self.assertEqual(self.reactor.stops, 1)

    def test_a_second_signal_kills(self) -> None:
        """After the first one the default is back: whoever insists does not wait."""
        self.reactor.begin()
        self.handlers[signal.SIGINT](signal.SIGINT, None)
        self.assertEqual(set(self.handlers.values()), {signal.SIG_DFL})

    def test_a_reactor_that_has_stopped(self) -> None:
        """Two signals at once are no error."""
        self.reactor.begin()
        received = self.handlers[signal.SIGINT]
        received(signal.SIGINT, None)
        received(signal.SIGTERM, None)
        self.reactor.advance(0)
        self.assertEqual(self.reactor.stops, 2)
