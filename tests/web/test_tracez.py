"""/tracez"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from gorego_tw.errors import Unavailable
from gorego_tw.telemetry.span import UPSTREAM, LocalRoot
from gorego_tw.web.tracez import Tracez
from tests.telemetry.recording import Recording
from tests.web.requests import body, header

HOSTILE = '<script>alert("&\'")</script>'


class CountingClock(Clock):
    """A clock.

    :ivar turns: how often something was put off.
    """

    turns = 0

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        """Put something off."""
        self.turns += 1
        return super().callLater(delay, callable, *args, **kw)


class TracezTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording(0.0)
        self.clock = CountingClock()
        self.page = Tracez(self.recording.kept, self.clock)

    def ended(self, name: str, seconds: float) -> LocalRoot:
        """A call of that method which took so long."""
        root = self.recording.root()
        root.name = name
        self.recording.clock.advance(seconds)
        self.recording.served(root)
        return root

    def ask(self, accept: str = "", **arguments: str) -> DummyRequest:
        """The page."""
        request = DummyRequest([])
        request.args = {key.encode(): [value.encode()] for key, value in arguments.items()}
        if accept:
            request.requestHeaders.setRawHeaders("accept", [accept])
        request.render(self.page)
        self.clock.turns = 0
        self.clock.advance(0)
        return request

    def told(self, **arguments: str) -> Any:
        """The page as JSON."""
        return json.loads(body(self.ask(format="json", **arguments)))

    def test_empty(self) -> None:
        """Where nothing was slow or failed there is a page, and nothing on it."""
        self.assertEqual(self.told(), {"counts": {}, "requests": []})
        self.assertIn(b"Slow and failed requests", body(self.ask()))

    def test_counts(self) -> None:
        """How many there are of each method is told by how slow they were."""
        for seconds in (0.02, 0.02, 0.5, 20):
            self.ended("s.S/A", seconds)
        self.recording.root().fail(Unavailable("down"))
        self.assertEqual(
            self.told()["counts"],
            {
                "s.S/A": {">= 0.01 s": 2, ">= 0.1 s": 1, ">= 10 s": 1},
                "t.T/Get": {"failed": 1},
            },
        )

    def test_choice(self) -> None:
        """One method, or one kind of it, can be asked for."""
        for name, seconds in (("s.S/A", 0.02), ("s.S/A", 0.5), ("s.S/B", 0.5)):
            self.ended(name, seconds)
        self.assertEqual(len(self.told()["requests"]), 3)
        self.assertEqual(len(self.told(method="s.S/A")["requests"]), 2)
        self.assertEqual(len(self.told(bucket=">= 0.1 s")["requests"]), 2)
        self.assertEqual(len(self.told(method="s.S/B", bucket=">= 0.1 s")["requests"]), 1)
        self.assertEqual(self.told(method="s.S/C")["requests"], [])

    def test_form(self) -> None:
        """JSON is for who asks for it, by argument or by header; a page for all others. None is kept."""
        for request, kind in (
            (self.ask(), "text/html; charset=utf-8"),
            (self.ask(accept="text/html,application/json;q=0.9"), "text/html; charset=utf-8"),
            (self.ask(accept="application/json"), "application/json"),
            (self.ask(format="json"), "application/json"),
        ):
            self.assertEqual(header(request, "content-type"), kind)
            self.assertEqual(header(request, "cache-control"), "no-store")

    def test_waterfall(self) -> None:
        """A request is shown with its spans, what they waited for and why they failed."""
        root = self.recording.root()
        span = root.begin("fetch")
        span.spend(UPSTREAM, 0.25)
        self.recording.clock.advance(0.5)
        span.fail(Unavailable("down"))
        self.recording.served(root)
        page = body(self.ask()).decode()
        for words in ("t.T/Get OK: 500 ms", "fetch", "upstream 250 ms", "down", "(not exported)"):
            self.assertIn(words, page)
        self.assertIn("left:0.00%;width:100.00%", page)

    def test_turns(self) -> None:
        """Each request is made a page of in a turn of its own, so that calls are not held up."""
        for _ in range(5):
            self.ended("s.S/A", 0.5)
        for form in ("", "json"):
            self.ask(format=form)
            self.assertEqual(self.clock.turns, 4)

    def test_reader_gone(self) -> None:
        """For a reader who has gone nothing more is made."""
        self.ended("s.S/A", 0.5)
        for form in ("", "json"):
            request = DummyRequest([])
            request.args = {b"format": [form.encode()]}
            request.render(self.page)
            request.processingFailed(Failure(ConnectionDone()))
            self.clock.advance(0)
            self.assertEqual((request.written, request.finished), ([], 0))

    def test_hostile_words(self) -> None:
        """What clients say is text, not markup."""
        root = self.recording.root()
        root.begin(HOSTILE).set("reapi.target_id", HOSTILE)
        self.recording.clock.advance(1)
        root.name = HOSTILE
        root.fail(Unavailable(HOSTILE))
        page = body(self.ask(method=HOSTILE)).decode()
        self.assertNotIn("<script>", page)
        self.assertIn("&lt;script&gt;", page)
