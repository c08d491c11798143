"""Bodies in memory, and parts of any."""

from __future__ import annotations

from collections.abc import AsyncIterator

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.body import BytesBody, HandedOver, up_to
from gorego_tw.concurrency import closing
from gorego_tw.errors import DataLoss
from gorego_tw.interfaces import IBlobBody


class BytesBodyTests(SynchronousTestCase):
    def chunks(self, offset: int, end: int | None = None) -> list[bytes]:
        async def collect() -> list[bytes]:
            return [bytes(chunk) async for chunk in BytesBody(b"abcdef").chunks(offset, end)]

        return self.successResultOf(collect())

    def test_interface(self) -> None:
        """It is a body."""
        verifyObject(IBlobBody, BytesBody(b""))

    def test_size(self) -> None:
        """The size is that of the data."""
        self.assertEqual(BytesBody(b"abc").size_bytes, 3)

    def test_chunks(self) -> None:
        """The bytes from an offset on come in one piece, none at the end."""
        self.assertEqual(self.chunks(0), [b"abcdef"])
        self.assertEqual(self.chunks(4), [b"ef"])
        self.assertEqual(self.chunks(6), [])

    def test_part(self) -> None:
        """They end where it is said."""
        self.assertEqual(self.chunks(0, 6), [b"abcdef"])
        self.assertEqual(self.chunks(2, 4), [b"cd"])
        self.assertEqual(self.chunks(4, 4), [])

    def test_read_all_copies_nothing(self) -> None:
        """The data is handed out as it is."""
        data = b"abc"
        self.assertIs(self.successResultOf(BytesBody(data).read_all()), data)

    def test_discard(self) -> None:
        """There is nothing to let go."""
        BytesBody(b"abc").discard()


class UpToTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.closed = False
        self.failure: Exception | None = None

    async def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """Three of two bytes each, all in the same memory; then perhaps a failure."""
        memory = bytearray(2)
        try:
            for piece in (b"ab", b"cd", b"ef"):
                memory[:] = piece
                yield memoryview(memory)
            if self.failure is not None:
                raise self.failure
        finally:
            self.closed = True

    def taken(self, length: int | None) -> list[bytes]:
        async def take() -> list[bytes]:
            async with closing(up_to(self.pieces(), 0, length)) as pieces:
                return [bytes(piece) async for piece in pieces]

        return self.successResultOf(take())

    def test_length(self) -> None:
        """There are so many bytes, and all pieces are read and let go of."""
        for length, expected in (
            (1, [b"a"]),
            (2, [b"ab"]),
            (5, [b"ab", b"cd", b"e"]),
            (6, [b"ab", b"cd", b"ef"]),
            (None, [b"ab", b"cd", b"ef"]),
        ):
            self.closed = False
            self.assertEqual(self.taken(length), expected)
            self.assertTrue(self.closed)
        self.assertEqual(self.taken(0), [])

    def test_wrong_later(self) -> None:
        """The last byte is not given out of what turns out to be wrong behind it."""
        self.failure = DataLoss("wrong hash")
        taken = bytearray()

        async def take() -> None:
            async for piece in up_to(self.pieces(), 0, 3):
                taken.extend(piece)

        self.failureResultOf(Deferred.fromCoroutine(take()), DataLoss)
        self.assertEqual(taken, b"ab")


class HandedOverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.discarded = 0
        self.body = BytesBody(b"abc")
        self.patch(BytesBody, "discard", self.discard)

    def discard(self) -> None:
        """The body was let go of."""
        self.discarded += 1

    def test_opened(self) -> None:
        """Who opens it has it."""
        with HandedOver(self.body) as given:
            self.assertIs(self.successResultOf(given.open()), self.body)
        self.assertEqual(self.discarded, 0)

    def test_never_opened(self) -> None:
        """What nobody opens is let go of."""
        with HandedOver(self.body):
            pass
        self.assertEqual(self.discarded, 1)
