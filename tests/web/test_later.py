"""Tests of gorego_tw.web.later."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import NOT_DONE_YET
from twisted.web.test.requesthelper import DummyRequest

from gorego_tw.web.later import answer_later
from tests.web.requests import body


class AnswerLaterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.text: Deferred[bytes] = Deferred()
        self.request = cast(Any, DummyRequest([]))

        async def page() -> bytes:
            return await self.text

        answer = answer_later(self.request, page(), "/page", b"sorry\n")
        self.assertEqual(answer, NOT_DONE_YET)

    def test_made(self) -> None:
        """The page is sent when it has been made."""
        self.assertEqual(self.request.finished, 0)
        self.text.callback(b"text")
        self.assertEqual((body(self.request), self.request.finished), (b"text", 1))

    def test_failure(self) -> None:
        """If it cannot be made the reader is told so, and the log why."""
        with capturedLogs() as events:
            self.text.errback(ZeroDivisionError())
        self.assertEqual((body(self.request), self.request.responseCode), (b"sorry\n", 500))
        self.assertEqual([formatEvent(event) for event in events], ["/page"])
        self.flushLoggedErrors(ZeroDivisionError)

    def test_reader_gone(self) -> None:
        """For a reader who has gone it is made no further, which is no failure."""
        with capturedLogs() as events:
            self.request.processingFailed(Failure(ConnectionDone()))
        self.assertTrue(self.text.called)
        self.assertEqual((body(self.request), self.request.finished, events), (b"", 0, []))
