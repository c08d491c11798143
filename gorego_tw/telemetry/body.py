"""A body that is a part of a span for as long as it is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from zope.interface import implementer

from gorego_tw.concurrency import closing
from gorego_tw.interfaces import IBlobBody, ILandingBody
from gorego_tw.telemetry.span import Span, Spent


@implementer(ILandingBody)
class TracedBody:
    """A body, at whose end the span ends.

    :param waiting_for: what the time until each piece comes is spent for, if it is to be told.
    """

    def __init__(self, base: IBlobBody, span: Span, waiting_for: Spent | None = None) -> None:
        self.size_bytes = base.size_bytes
        self._base = base
        self._span = span
        self._waiting_for = waiting_for

    def land_in(self, give: Callable[[], memoryview]) -> None:
        """As the body, if it can."""
        if ILandingBody.providedBy(self._base):
            self._base.land_in(give)

    async def chunks(
        self, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes | memoryview]:
        """As the body; the span ends with the last piece, or when nobody wants more."""
        now = self._span.root.recorder.now
        waited, asked, is_waiting = 0.0, now(), True
        failure = None
        try:
            async with closing(self._base.chunks(offset, end)) as pieces:
                async for piece in pieces:
                    waited += now() - asked
                    is_waiting = False
                    yield piece
                    asked, is_waiting = now(), True
        except Exception as error:
            failure = error
            raise
        finally:
            # What was waited for in vain is what the request took so long for, too.
            self._end(waited + now() - asked if is_waiting else waited, failure)

    async def read_all(self) -> bytes:
        """As the body."""
        now = self._span.root.recorder.now
        asked, failure = now(), None
        try:
            return await self._base.read_all()
        except Exception as error:
            failure = error
            raise
        finally:
            self._end(now() - asked, failure)

    def discard(self) -> None:
        """Let go of it unread."""
        self._base.discard()
        self._end(0.0, None)

    def _end(self, waited: float, failure: Exception | None) -> None:
        if self._waiting_for is not None:
            self._span.spend(self._waiting_for, waited)
        if failure is not None:
            self._span.end_by(failure)
        elif self._span.ended is None:
            self._span.end()


async def awaited_body(
    span: Span | None, waiting_for: Spent, body: Awaitable[IBlobBody]
) -> IBlobBody:
    """``body``; the time until it is there, and until each of its pieces is, is that of ``span``."""
    if span is None:
        return await body
    try:
        there = await body
    except BaseException as error:
        span.spend(waiting_for, span.seconds)
        span.end_by(error)
        raise
    span.spend(waiting_for, span.seconds)
    return TracedBody(there, span, waiting_for)
