"""Tests of gorego_tw.remote.answer_probe."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import PermissionDenied, Unavailable
from gorego_tw.remote.answer_probe import PROBE_SECONDS, AnswerProbe


class AnswerProbeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[None]] = []
        self.probe = AnswerProbe(self.ask, self.clock)
        self.probe.startService()
        self.addCleanup(self.probe.stopService)

    async def ask(self) -> None:
        """Waits for the answer."""
        answer: Deferred[None] = Deferred()
        self.asked.append(answer)
        await answer

    def test_first(self) -> None:
        """It is asked at once, and nothing is taken for granted before it has answered."""
        self.assertIn("not asked yet", str(self.probe.failure))
        self.clock.advance(0)
        (answer,) = self.asked
        self.assertIn("not asked yet", str(self.probe.failure))
        answer.callback(None)
        self.assertIsNone(self.probe.failure)

    def test_again(self) -> None:
        """It is asked again and again; the last answer counts, and its age is known."""
        self.clock.advance(0)
        self.asked[-1].callback(None)
        self.clock.advance(PROBE_SECONDS)
        self.assertEqual(self.probe.age_seconds, PROBE_SECONDS)
        self.asked[-1].errback(Unavailable("backing cache: down"))
        self.assertEqual(self.probe.failure, "backing cache: down")
        self.assertEqual(self.probe.age_seconds, 0)
        self.clock.advance(PROBE_SECONDS)
        self.asked[-1].callback(None)
        self.assertIsNone(self.probe.failure)
        self.assertEqual(len(self.asked), 3)

    def test_refusal(self) -> None:
        """Who refuses has answered."""
        self.clock.advance(0)
        self.asked[-1].errback(PermissionDenied("who are you?"))
        self.assertIsNone(self.probe.failure)

    def test_silence(self) -> None:
        """No answer in time is none, and the next question does not wait for it."""
        self.clock.advance(0)
        self.clock.advance(PROBE_SECONDS)
        self.assertIn("no answer within 2 s", str(self.probe.failure))
        self.clock.advance(PROBE_SECONDS)
        self.asked[-1].callback(None)
        self.assertIsNone(self.probe.failure)
