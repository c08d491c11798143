"""/debug/profile"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from gorego_tw.telemetry.stacks import Frame, Sampling
from gorego_tw.web.profile import Profile
from tests.web.requests import body

OUTER, INNER = Frame("outer", "a.py", 1), Frame("inner", "a.py", 2)


class ProfileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.work: list[tuple[Callable[[], None], Deferred[None]]] = []
        self.samplings: list[Sampling] = []
        self.page = Profile(self.run_later, self.sampling)

    def sampling(self) -> Sampling:
        """One of a thread that is always in the same place."""
        self.samplings.append(
            Sampling(
                8,  # a period without a rounding error
                look=lambda: {"reactor (1)": (OUTER, INNER)},
                clock=self.clock.seconds,
                sleep=self.clock.advance,
            )
        )
        return self.samplings[-1]

    def run_later(self, function: Callable[[], None]) -> Deferred[None]:
        """As a thread would."""
        self.work.append((function, Deferred()))
        return self.work[-1][1]

    def finish(self) -> None:
        """Let the thread do its work."""
        function, end = self.work.pop()
        function()
        end.callback(None)

    def ask(self, seconds: str = "") -> DummyRequest:
        """A request for a profile."""
        request = DummyRequest([])
        request.args = {b"seconds": [seconds.encode()]} if seconds else {}
        request.render(self.page)
        return request

    def test_profile(self) -> None:
        """It is speedscope's form: the frames once, and how often each stack was met."""
        request = self.ask("2")
        self.assertEqual(body(request), b"")
        self.finish()
        told: dict[str, Any] = json.loads(body(request))
        self.assertEqual(told["shared"]["frames"], [OUTER._asdict(), INNER._asdict()])
        (profile,) = told["profiles"]
        self.assertEqual((profile["samples"], profile["weights"]), ([[0, 1]], [16]))
        self.assertEqual((profile["name"], profile["endValue"]), ("reactor (1)", 16))

    def test_default(self) -> None:
        """If nothing is said it takes five seconds."""
        self.ask()
        self.finish()
        self.assertAlmostEqual(self.clock.seconds(), 5, delta=0.2)

    def test_not_a_time(self) -> None:
        """What is no time, or too long, is refused."""
        for seconds in ("x", "0", "-1", "61", "nan", "inf"):
            self.assertEqual(self.ask(seconds).responseCode, 400, seconds)
        self.assertEqual(self.work, [])

    def test_one_at_a_time(self) -> None:
        """While one is being taken another has to wait; then it may."""
        self.ask()
        self.assertEqual(self.ask().responseCode, 503)
        self.finish()
        self.ask()
        self.finish()

    def test_leaving(self) -> None:
        """Who leaves ends it, and the next may ask."""
        request = self.ask()
        request.processingFailed(Failure(ConnectionDone()))
        self.assertTrue(self.samplings[0].stopped)
        self.finish()
        self.assertEqual(self.clock.seconds(), 0)
        self.assertIsNone(self.ask().responseCode)
        self.finish()
