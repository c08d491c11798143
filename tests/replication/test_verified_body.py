"""Tests of gorego_tw.replication.verified_body."""

from __future__ import annotations

from collections.abc import AsyncIterator

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.concurrency import closing
from gorego_tw.errors import DataLoss, Unavailable
from gorego_tw.interfaces import IBlobBody
from gorego_tw.replication.verified_body import VerifiedBody
from tests.storage.tiers import PiecesBody, blob, in_pieces

SIZE = 35_000


class VerifiedBodyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.digest, self.data = blob(SIZE)
        self.wrong = blob(SIZE, seed=1)[1]
        self.corrupt = 0
        self.left = False

    def body(self, base: IBlobBody) -> VerifiedBody:
        """What a reader gets of a body."""
        return VerifiedBody(self.digest, base, self._note, self._leave)

    def _leave(self) -> None:
        self.left = True

    def _note(self) -> None:
        self.corrupt += 1

    async def read(self, base: IBlobBody, into: bytearray, offset: int = 0) -> None:
        """Read it in pieces."""
        async with closing(self.body(base).chunks(offset)) as pieces:
            async for piece in pieces:
                into += piece

    def test_role(self) -> None:
        """It is a body."""
        self.assertTrue(verifyObject(IBlobBody, self.body(in_pieces(self.data))))

    def test_found_by_the_body(self) -> None:
        """Damage that the body finds itself is counted as well, however it is read."""

        class Damaged(PiecesBody):
            async def read_all(self) -> bytes:
                raise DataLoss("backing cache: wrong")

        error = self.failureResultOf(
            Deferred.fromCoroutine(self.body(Damaged(SIZE, b"")).read_all()), DataLoss
        ).value
        self.assertEqual((str(error), self.corrupt, self.left), ("backing cache: wrong", 1, True))

        async def pieces() -> AsyncIterator[bytes]:
            yield self.data[:10]
            raise DataLoss("backing cache: more data than that")

        base = in_pieces(self.data)
        self.patch(base, "chunks", lambda *_: pieces())
        self.failureResultOf(Deferred.fromCoroutine(self.read(base, bytearray())), DataLoss)
        self.assertEqual(self.corrupt, 2)

    def test_offsets(self) -> None:
        """The right bytes come from any offset on."""
        for offset in (0, 1, 9_999, 10_000, 10_001, SIZE - 1, SIZE):
            base, data = in_pieces(self.data), bytearray()
            self.successResultOf(self.read(base, data, offset))
            self.assertEqual(data, self.data[offset:])
        self.assertEqual(self.corrupt, 0)

    def test_left(self) -> None:
        """It is told when the reader is done: at the end, at a failure, in the middle, or at once."""
        for data in (self.data, self.wrong):
            self.left = False
            Deferred.fromCoroutine(self.read(in_pieces(data), bytearray())).addErrback(bool)
            self.assertTrue(self.left)
            self.left = False
            Deferred.fromCoroutine(self.body(in_pieces(data)).read_all()).addErrback(bool)
            self.assertTrue(self.left)
        self.left = False
        pieces = self.body(in_pieces(self.data)).chunks()
        self.successResultOf(Deferred.fromCoroutine(anext(pieces)))  # type: ignore[arg-type]
        self.assertFalse(self.left)
        self.successResultOf(Deferred.fromCoroutine(pieces.aclose()))  # type: ignore[attr-defined]
        self.assertTrue(self.left)
        self.left = False
        self.body(in_pieces(self.data)).discard()
        self.assertTrue(self.left)

    def test_wrong_hash(self) -> None:
        """Wrong bytes are told before the last piece, and counted."""
        base, data = in_pieces(self.wrong), bytearray()
        self.failureResultOf(self.read(base, data), DataLoss)
        self.assertEqual(data, self.wrong[:30_000])
        self.assertEqual((self.corrupt, base.closed), (1, True))

    def test_wrong_size(self) -> None:
        """So are too few and too many."""
        for data in (self.data[:-1], self.data + b"x", b""):
            base = PiecesBody(SIZE, data) if data else PiecesBody(SIZE)
            self.failureResultOf(self.read(base, bytearray()), DataLoss)
            self.assertTrue(base.closed)
        self.assertEqual(self.corrupt, 3)

    def test_trouble(self) -> None:
        """Other failures stay what they are."""
        base = PiecesBody(SIZE, self.data[:10], error=Unavailable("backing cache: reset"))
        self.failureResultOf(self.read(base, bytearray()), Unavailable)
        self.assertEqual((self.corrupt, base.closed), (0, True))

    def test_whole(self) -> None:
        """The whole is verified, too."""
        whole = self.body(PiecesBody(SIZE, self.data)).read_all()
        self.assertEqual(self.successResultOf(whole), self.data)
        self.failureResultOf(self.body(PiecesBody(SIZE, self.wrong)).read_all(), DataLoss)
        self.assertEqual(self.corrupt, 1)

    def test_leaving(self) -> None:
        """A reader that stops lets go of the body."""
        base = in_pieces(self.data)
        self.successResultOf(self._read_one(base))
        self.assertTrue(base.closed)

    async def _read_one(self, base: IBlobBody) -> None:
        async with closing(self.body(base).chunks()) as pieces:
            await anext(pieces)

    def test_discarded(self) -> None:
        """Discarding discards the body."""
        base = in_pieces(self.data)
        self.body(base).discard()
        self.assertTrue(base.closed)
