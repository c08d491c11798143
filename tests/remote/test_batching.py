"""Tests of gorego_tw.remote.batching."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    Unavailable,
)
from gorego_tw.forwarding import Metadata, forwarded
from gorego_tw.remote.batching import MOST_WAITING, Batcher
from tests.calls import carrying


class BatcherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.sent: list[tuple[list[str], Metadata]] = []
        self.gate: Deferred[None] | None = None
        self.failure: Exception | None = None
        self.wrong: dict[str, Exception] = {}
        self.batcher: Batcher[str, str] = Batcher(
            self.send, weigh=len, most=lambda: 6, clock=self.clock
        )

    async def send(self, questions: list[str], metadata: Metadata) -> list[str]:
        """Answers in capitals."""
        self.sent.append((questions, metadata))
        self.assertEqual(forwarded(), ())
        if self.gate is not None:
            await self.gate
        if self.failure is not None:
            raise self.failure
        for question, failure in self.wrong.items():
            if question in questions:
                raise failure
        return [question.upper() for question in questions]

    def ask(self, question: str, kind: str = "", **metadata: str) -> Deferred[str]:
        """Ask, in a call with that metadata."""
        return carrying(*metadata.items()).run(self.batcher.ask, question, kind)

    def questions(self) -> list[list[str]]:
        """What left, call by call."""
        return [questions for questions, _ in self.sent]

    def test_one_turn(self) -> None:
        """What is asked in one turn leaves as one call, and each has its own answer."""
        answers = [self.ask("a"), self.ask("b")]
        self.assertEqual(self.sent, [])
        self.clock.advance(0)
        self.assertEqual(self.questions(), [["a", "b"]])
        self.assertEqual([self.successResultOf(answer) for answer in answers], ["A", "B"])

    def test_next_turn(self) -> None:
        """What is asked in the next turn leaves in the next call, while the first is under way."""
        self.gate = Deferred()
        first = self.ask("a")
        self.clock.advance(0)
        second = self.ask("b")
        self.clock.advance(0)
        self.assertEqual(self.questions(), [["a"], ["b"]])
        self.assertNoResult(first)
        self.assertNoResult(second)

    def test_limit(self) -> None:
        """A call holds so much and no more; what is larger by itself leaves alone."""
        for question in ("aaa", "bbb", "c", "ddddddddd", "e"):
            self.ask(question)
        self.clock.advance(0)
        self.assertEqual(self.questions(), [["aaa", "bbb"], ["c"], ["ddddddddd"], ["e"]])

    def test_kinds(self) -> None:
        """Questions of two kinds do not share a call."""
        self.ask("a", "x")
        self.ask("b", "y")
        self.ask("c", "x")
        self.clock.advance(0)
        self.assertEqual(self.questions(), [["a", "c"], ["b"]])

    def test_rights(self) -> None:
        """Callers with different credentials do not share a call; who asks and why is no credential."""
        self.ask("a", authorization="one", requestmetadata_bin="x")
        self.ask("b", authorization="two")
        self.clock.advance(0)
        self.assertEqual(self.questions(), [["a"], ["b"]])
        for value in (b"1", b"2"):
            carrying(("x.requestmetadata-bin", value)).run(self.batcher.ask, "c")
        self.clock.advance(0)
        self.assertEqual(self.sent[2:], [(["c", "c"], (("x.requestmetadata-bin", b"1"),))])

    def test_failure(self) -> None:
        """A failure goes to all who asked."""
        self.failure = Unavailable("down")
        answers = [self.ask("a"), self.ask("b")]
        self.clock.advance(0)
        for answer in answers:
            self.failureResultOf(answer, Unavailable)

    def test_one_is_wrong(self) -> None:
        """What may be the fault of one question is found out to be that of one, and the others are
        answered. What is true of all quarters is so of all; what is about nobody's question is not asked again.
        """
        for kind in (DataLoss, FailedPrecondition, InvalidArgument, NotFound, OutOfRange):
            self.sent.clear()
            self.wrong = {"c": kind("c is wrong")}
            answers = [self.ask(question) for question in "abcdef"]
            self.clock.advance(0)
            self.failureResultOf(answers.pop(2), kind)
            self.assertEqual([self.successResultOf(answer) for answer in answers], list("ABDEF"))
            self.assertEqual(len(self.sent), 7)
        self.sent.clear()
        self.wrong = {question: NotFound("no such instance") for question in "abcdef"}
        answers = [self.ask(question) for question in "abcdef"]
        self.clock.advance(0)
        for answer in answers:
            self.failureResultOf(answer, NotFound)
        self.assertEqual(len(self.sent), 7)
        self.sent.clear()
        self.wrong = {"c": PermissionDenied("not you")}
        answers = [self.ask(question) for question in "abcdef"]
        self.clock.advance(0)
        for answer in answers:
            self.failureResultOf(answer, PermissionDenied)
        self.assertEqual(len(self.sent), 1)

    def test_some_are_wrong(self) -> None:
        """Of many wrong ones each is told so, as long as that takes few calls; the rest are to try again."""
        for count in (2, 4):
            self.sent.clear()
            questions = [chr(ord("a") + number) for number in range(100)]
            self.wrong = {question: NotFound("wrong") for question in questions[3::30][:count]}
            answers = [self.ask(question) for question in questions]
            self.clock.advance(0)
            for question, answer in zip(questions, answers, strict=True):
                if question in self.wrong:
                    self.failureResultOf(answer, NotFound, Unavailable)
                elif count == 2:
                    self.assertEqual(self.successResultOf(answer), question.upper())
                else:
                    answer.addErrback(lambda reason: reason.trap(Unavailable))
            self.assertLessEqual(len(self.sent), 42)

    def test_leaving(self) -> None:
        """Who leaves before the call leaves is not asked for; who leaves later harms nobody."""
        self.gate = Deferred()
        first, second, third = self.ask("a"), self.ask("b"), self.ask("c")
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.clock.advance(0)
        self.assertEqual(self.questions(), [["b", "c"]])
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.gate.callback(None)
        self.assertEqual(self.successResultOf(third), "C")

    def test_all_leave(self) -> None:
        """If all leave, nothing is asked."""
        first = self.ask("a")
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.clock.advance(0)
        self.assertEqual(self.sent, [])

    def test_leaving_before_a_failure(self) -> None:
        """A failure that nobody waits for any more is no error."""
        self.gate = Deferred()
        first = self.ask("a")
        self.clock.advance(0)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.failure = Unavailable("down")
        self.gate.callback(None)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_crowd(self) -> None:
        """No more than so many wait for the end of a turn: those that are there leave at once."""
        answers = [self.ask("a") for _ in range(MOST_WAITING + 1)]
        self.assertEqual(sum(map(len, self.questions())), MOST_WAITING)
        self.assertNoResult(answers[-1])
        self.clock.advance(0)
        self.assertEqual([self.successResultOf(answer) for answer in answers], ["A"] * len(answers))
        self.assertEqual(self.clock.getDelayedCalls(), [])
