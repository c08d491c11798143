"""Tests of gorego_tw.reactor."""

from __future__ import annotations

import asyncio
from contextvars import Context, ContextVar

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.reactor import Reactor

_name: ContextVar[str] = ContextVar("name", default="nobody")


class ReactorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.addCleanup(self.loop.close)
        self.reactor = Reactor(self.loop)
        self.seen: list[str] = []

    def look(self) -> None:
        """Whose context is this?"""
        self.seen.append(_name.get())

    def within(self, name: str, seconds: float) -> None:
        """Somebody wants to look after that time."""
        context = Context()
        context.run(_name.set, name)
        context.run(self.reactor.callLater, seconds, self.look)

    def run_for(self, seconds: float) -> None:
        """Let the loop turn."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def test_timers(self) -> None:
        """What is due runs in nobody's context, whoever asked for it, and whoever asked last."""
        self.within("first", 0.02)
        self.within("second", 0.0)
        self.within("third", 0.01)
        self.run_for(0.05)
        self.assertEqual(self.seen, ["nobody"] * 3)

    def test_sooner(self) -> None:
        """So does what somebody has made due sooner."""
        call = self.reactor.callLater(10, self.look)
        context = Context()
        context.run(_name.set, "somebody")
        context.run(call.reset, 0.01)
        self.run_for(0.03)
        self.assertEqual(self.seen, ["nobody"])
