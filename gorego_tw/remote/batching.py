"""Questions asked in one turn of the reactor leave as one call."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from typing import Generic, NamedTuple, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from gorego_tw.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    Unavailable,
)
from gorego_tw.forwarding import Metadata, forwarded, rights
from gorego_tw.telemetry.context import cause_here
from gorego_tw.telemetry.current import Cause, cause, recorded
from gorego_tw.telemetry.joining import awaited

Q = TypeVar("Q")
R = TypeVar("R")

#: What may be said of one question alone, though it was said of a call for many: in halves, and halves of these, it
#: is found out of which, so that nobody is told what is true of another's. If all quarters fail it is true of all.
_OF_ONE = (DataLoss, FailedPrecondition, InvalidArgument, NotFound, OutOfRange)
_CALLS_TO_QUARTERS = 6
#: Two questions of 1,000 are found with 38 calls.
_MOST_CALLS = 40

#: How many questions wait for the end of the turn. Each may hold a small blob, of 64 KiB: 64 MiB.
#: Those that are there leave at once when there are so many, which is 17 calls of 4 MB.
MOST_WAITING = 1_000


class _Asked(NamedTuple, Generic[Q, R]):
    question: Q
    metadata: Metadata
    answer: Deferred[R]
    cause: Cause | None


class Batcher(Generic[Q, R]):
    """Collects questions.

    :param send: asks them in one call, and gives the answers in their order.
    :param weigh: what a question takes of a call.
    :param most: how much one call holds.
    """

    def __init__(
        self,
        send: Callable[[list[Q], Metadata], Awaitable[list[R]]],
        *,
        weigh: Callable[[Q], int],
        most: Callable[[], int],
        clock: IReactorTime,
    ) -> None:
        self._send = send
        self._weigh = weigh
        self._most = most
        self._clock = clock
        self._groups: dict[Hashable, list[_Asked[Q, R]]] = {}
        self._waiting = 0

    def ask(self, question: Q, kind: Hashable = None) -> Deferred[R]:
        """The answer. Who cancels leaves the others alone.

        :param kind: questions of two kinds never share a call, nor do those of callers whose
            metadata may give them different rights. A call carries the metadata of the first.
        """
        metadata = forwarded()
        if not self._groups:
            self._clock.callLater(0, self._leave)
        answer: Deferred[R] = Deferred()
        group = self._groups.setdefault((kind, rights(metadata)), [])
        group.append(_Asked(question, metadata, answer, cause_here()))
        self._waiting += 1
        if self._waiting == MOST_WAITING:
            self._leave()
        return awaited(answer)

    def _leave(self) -> None:
        groups, self._groups, self._waiting = self._groups, {}, 0
        for group in groups.values():
            batch: list[_Asked[Q, R]] = []
            weight = 0
            for asked in group:
                if asked.answer.called:
                    continue  # who asked has gone
                weight += self._weigh(asked.question)
                if batch and weight > self._most():
                    self._begin(batch)
                    batch, weight = [], self._weigh(asked.question)
                batch.append(asked)
            if batch:
                self._begin(batch)

    def _begin(self, batch: list[_Asked[Q, R]]) -> None:
        # In a context of its own: it is nobody's call alone.
        context = Context()
        context.run(cause.set, batch[0].cause)
        context.run(Deferred.fromCoroutine, self._tell(batch))

    async def _tell(self, batch: list[_Asked[Q, R]]) -> None:
        failure = await self._asked(batch)
        suspects = deque([(batch, failure)] if failure is not None else [])
        calls, any_answered = 0, False
        while suspects:
            batch, failure = suspects.popleft()
            is_of_all = not any_answered and calls >= _CALLS_TO_QUARTERS
            if len(batch) == 1 or is_of_all or not failure.check(*_OF_ONE):
                _fail(batch, failure)
            elif calls >= _MOST_CALLS:
                _fail(batch, Failure(Unavailable(f"{failure.value}, of one of many")))
            else:
                half = len(batch) // 2
                for part in (batch[:half], batch[half:]):
                    calls += 1
                    if (failure := await self._asked(part)) is not None:
                        suspects.append((part, failure))
                    else:
                        any_answered = True

    async def _asked(self, batch: list[_Asked[Q, R]]) -> Failure | None:
        """Ask in one call, and tell the answers; why there are none."""
        try:
            with recorded("batch") as span:
                if span is not None:
                    span.set("gorego.questions", len(batch))
                    # It is a part of the first one's trace; to the others it is linked.
                    for asked in batch[1:]:
                        if asked.cause is not None:
                            span.link(asked.cause.context)
                answers = await self._send([asked.question for asked in batch], batch[0].metadata)
        except Exception:  # whatever it is, those who asked are told
            return Failure()
        for asked, answer in zip(batch, answers, strict=True):
            if not asked.answer.called:
                asked.answer.callback(answer)
        return None


def _fail(batch: list[_Asked[Q, R]], failure: Failure) -> None:
    for asked in batch:
        if not asked.answer.called:
            asked.answer.errback(failure)
