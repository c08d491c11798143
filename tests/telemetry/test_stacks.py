"""Tests of gorego_tw.telemetry.stacks."""

from __future__ import annotations

import threading

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.stacks import MOST_FRAMES, Frame, Sampling, current_stacks

HERE = (Frame("here", "a.py", 1),)


class CurrentStacksTests(SynchronousTestCase):
    def test_this_thread(self) -> None:
        """The innermost frame of this thread is in what looks; this test is below."""
        name = f"{threading.current_thread().name} ({threading.get_ident()})"
        names = [frame.name for frame in current_stacks()[name]]
        self.assertIn("CurrentStacksTests.test_this_thread", names)
        self.assertLessEqual(len(names), MOST_FRAMES)


class SamplingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.threads = {"a (1)": HERE}
        self.sampling = Sampling(
            8, look=lambda: self.threads, clock=self.clock.seconds, sleep=self.clock.advance
        )

    def test_counts(self) -> None:
        """Each stack is counted as often as it was met."""
        self.sampling.run(1)
        self.assertEqual(self.sampling.samples["a (1)", HERE], 8)

    def test_not_itself(self) -> None:
        """The thread that looks is not looked at."""
        self.threads[f"sampler ({threading.get_ident()})"] = HERE
        self.sampling.run(1)
        self.assertEqual(list(self.sampling.samples), [("a (1)", HERE)])

    def test_stopped(self) -> None:
        """It ends when it is told to."""
        self.sampling.stopped = True
        self.sampling.run(1)
        self.assertEqual(self.clock.seconds(), 0)
