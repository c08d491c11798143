"""Tests of gorego_tw.telemetry.body."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gorego_tw.body import BytesBody
from gorego_tw.errors import DataLoss, NotFound, Unavailable
from gorego_tw.interfaces import IBlobBody, ILandingBody
from gorego_tw.telemetry.body import TracedBody, awaited_body
from gorego_tw.telemetry.span import UPSTREAM, Span
from tests.storage.tiers import PiecesBody
from tests.telemetry.recording import Recording


class SlowBody(PiecesBody):
    """A body whose pieces come when the test says so.

    :ivar gates: what is waited for, one for each piece and one for the end.
    """

    def __init__(self, *pieces: bytes) -> None:
        super().__init__(sum(map(len, pieces)), *pieces)
        self.gates: list[Deferred[None]] = [Deferred() for _ in range(len(pieces) + 1)]

    async def chunks(
        self, offset: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes | memoryview, None]:
        try:
            for gate, piece in zip(self.gates, self.pieces, strict=False):
                await gate
                yield piece
            await self.gates[-1]
        finally:
            self.closed = True

    async def read_all(self) -> bytes:
        await self.gates[-1]
        return await super().read_all()


@implementer(ILandingBody)
class LandingBody(PiecesBody):
    """A body that is told where its pieces are to go."""

    def __init__(self) -> None:
        super().__init__(1, b"a")
        self.give: Callable[[], memoryview] | None = None

    def land_in(self, give: Callable[[], memoryview]) -> None:
        self.give = give


class BodyTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.clock = self.recording.clock
        self.span = self.recording.root().begin("get")

    def traced(self, base: IBlobBody) -> TracedBody:
        """The body, with what it waits for told."""
        return TracedBody(base, self.span, UPSTREAM)

    def spent(self, span: Span | None = None) -> float | None:
        """How long it waited."""
        return ((span or self.span).details.spent or {}).get(UPSTREAM)


class TracedBodyTests(BodyTestCase):
    def test_interface(self) -> None:
        """It is a body, as large as the other."""
        body = self.traced(BytesBody(b"abc"))
        verifyObject(ILandingBody, body)
        self.assertEqual(body.size_bytes, 3)

    def test_land_in(self) -> None:
        """Memory for the pieces goes to the body, if that can do anything with it."""
        base = LandingBody()
        self.traced(base).land_in(lambda: memoryview(b"here"))
        assert base.give is not None
        self.assertEqual(base.give(), b"here")
        self.traced(BytesBody(b"abc")).land_in(lambda: memoryview(b"here"))

    def test_pieces(self) -> None:
        """The pieces are those of the body; it is waiting until each comes, not while it is used."""
        base = SlowBody(b"a", b"bc")
        pieces = cast(AsyncGenerator[bytes, None], self.traced(base).chunks())
        for number, piece in enumerate((b"a", b"bc")):
            asked = Deferred.fromCoroutine(pieces.asend(None))
            self.clock.advance(2)
            base.gates[number].callback(None)
            self.assertEqual(self.successResultOf(asked), piece)
            self.clock.advance(10)
        base.gates[-1].callback(None)
        self.failureResultOf(Deferred.fromCoroutine(pieces.asend(None)), StopAsyncIteration)
        self.assertEqual((self.spent(), self.span.seconds), (4, 24))
        self.assertEqual(self.span.ended, 24)

    def test_offset(self) -> None:
        """Pieces from an offset on are those of the body from there on."""

        async def read() -> bytes:
            return b"".join([piece async for piece in self.traced(BytesBody(b"abcd")).chunks(2)])

        self.assertEqual(self.successResultOf(read()), b"cd")

    def test_left(self) -> None:
        """Who wants no more ends the span, and closes the body; that is no failure."""
        base = PiecesBody(2, b"a", b"b")
        pieces = cast(AsyncGenerator[bytes, None], self.traced(base).chunks())
        self.successResultOf(Deferred.fromCoroutine(pieces.asend(None)))
        self.successResultOf(Deferred.fromCoroutine(pieces.aclose()))
        self.assertTrue(base.closed)
        self.assertEqual((self.span.ended, self.span.details.error), (0, ""))

    def test_cancelled(self) -> None:
        """Who leaves while waiting for a piece has waited; that is what the request took long for."""
        pieces = cast(AsyncGenerator[bytes, None], self.traced(SlowBody(b"a")).chunks())
        asked = Deferred.fromCoroutine(pieces.asend(None))
        self.clock.advance(7)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual((self.spent(), self.span.ended, self.span.details.error), (7, 7, ""))

    def test_failure(self) -> None:
        """A body that breaks off is a failure, in the words for the client."""
        base = PiecesBody(2, b"a", error=DataLoss("broken"))
        body = self.traced(base)

        async def read() -> None:
            async for _ in body.chunks():
                self.clock.advance(1)

        self.failureResultOf(read(), DataLoss)
        self.assertEqual((self.span.ended, self.span.details.error), (1, "broken"))

    def test_read_all(self) -> None:
        """To read all of it at once is waiting until it is there."""
        base = SlowBody(b"abc")
        data = Deferred.fromCoroutine(self.traced(base).read_all())
        self.clock.advance(3)
        base.gates[-1].callback(None)
        self.assertEqual(self.successResultOf(data), b"abc")
        self.assertEqual((self.spent(), self.span.ended), (3, 3))

    def test_read_all_fails(self) -> None:
        """That may fail; who leaves meanwhile is no failure."""
        error = DataLoss("broken")
        self.failureResultOf(self.traced(PiecesBody(1, error=error)).read_all(), DataLoss)
        self.assertEqual(self.span.details.error, "broken")
        self.span = self.recording.root().begin("get")
        data = Deferred.fromCoroutine(self.traced(SlowBody(b"abc")).read_all())
        data.cancel()
        self.failureResultOf(data, CancelledError)
        self.assertEqual((self.span.ended, self.span.details.error), (0, ""))

    def test_discard(self) -> None:
        """A body that is let go of ends the span."""
        base = PiecesBody(1, b"a")
        self.clock.advance(2)
        self.traced(base).discard()
        self.assertTrue(base.closed)
        self.assertEqual((self.span.ended, self.spent()), (2, 0))

    def test_local_root(self) -> None:
        """A span that is a request of its own has all it spent when it is recorded."""
        root = self.recording.root()
        body = TracedBody(PiecesBody(1, error=DataLoss("broken")), root, UPSTREAM)
        seen: list[float | None] = []
        self.patch(self.recording, "ended", lambda root: seen.append(self.spent(root)))
        self.failureResultOf(body.read_all(), DataLoss)
        self.assertEqual(seen, [0])

    def test_nothing_to_tell(self) -> None:
        """Without a word for what it is waiting for, only the span's times are told."""
        self.successResultOf(TracedBody(BytesBody(b"a"), self.span).read_all())
        self.assertIsNone(self.span.details.spent)
        self.assertEqual(self.span.ended, 0)


class AwaitedBodyTests(BodyTestCase):
    def test_unrecorded(self) -> None:
        """Where nothing is recorded, it is the body itself."""
        there: Deferred[IBlobBody] = Deferred()
        got = Deferred.fromCoroutine(awaited_body(None, UPSTREAM, there))
        body = BytesBody(b"a")
        there.callback(body)
        self.assertIs(self.successResultOf(got), body)

    def test_awaited(self) -> None:
        """The time until the body is there is waiting, and so is that until its bytes are."""
        there: Deferred[IBlobBody] = Deferred()
        got = Deferred.fromCoroutine(awaited_body(self.span, UPSTREAM, there))
        self.clock.advance(2)
        base = SlowBody(b"a")
        there.callback(base)
        data = Deferred.fromCoroutine(self.successResultOf(got).read_all())
        self.clock.advance(3)
        base.gates[-1].callback(None)
        self.successResultOf(data)
        self.assertEqual((self.spent(), self.span.ended), (5, 5))

    def test_failure(self) -> None:
        """So is the time until it is known that there is none, or why it cannot be had."""
        for error, words in ((Unavailable("down"), "down"), (NotFound("no"), "")):
            self.span = self.recording.root().begin("get")
            there: Deferred[IBlobBody] = Deferred()
            got = Deferred.fromCoroutine(awaited_body(self.span, UPSTREAM, there))
            self.clock.advance(2)
            there.errback(error)
            self.failureResultOf(got, type(error))
            self.assertEqual((self.spent(), self.span.details.error), (2, words))
            self.assertIsNotNone(self.span.ended)

    def test_cancelled(self) -> None:
        """Who leaves meanwhile has waited."""
        got = Deferred.fromCoroutine(awaited_body(self.span, UPSTREAM, Deferred()))
        self.clock.advance(9)
        got.cancel()
        self.failureResultOf(got, CancelledError)
        self.assertEqual((self.spent(), self.span.details.error), (9, ""))
