"""Tests of gorego_tw.remote.writing: of what a peer answers that is not as it should be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.body import BytesBody
from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import AlreadyExists, StatusError, Unavailable
from gorego_tw.interfaces import IBlobBody
from gorego_tw.pb.google.bytestream.bytestream_pb2 import (
    QueryWriteStatusResponse,
    WriteRequest,
    WriteResponse,
)
from gorego_tw.remote.no_answer import no_answer
from gorego_tw.remote.retry import Retrying
from gorego_tw.remote.writing import Writing
from gorego_tw.resource_name import Compressor
from tests.zstd.test_compression import KeptBody

DATA = bytes(100_000)
SIZE = len(DATA)
DIGEST = digest_of(DATA, DigestFunction.SHA256)
DOWN = Unavailable("down")


class ScriptedLink:
    """A link to a peer that answers as the test says.

    :ivar replies: of the next Writes, each after all messages; a failure, or a count.
    :ivar statuses: of the next queries how much is held.
    :ivar writes: the messages of each Write.
    """

    def __init__(self, clock: Clock) -> None:
        self.retrying = Retrying(3, clock=clock, random=Random(1))
        self.replies: list[int | StatusError] = []
        self.statuses: list[int] = []
        self.writes: list[list[WriteRequest]] = []

    async def write(
        self, requests: AsyncIterator[WriteRequest], *, metadata: Any = ()
    ) -> WriteResponse:
        """Takes all there is."""
        self.writes.append([request async for request in requests])
        reply = self.replies.pop(0)
        if isinstance(reply, StatusError):
            raise reply
        return WriteResponse(committed_size=reply)

    async def unary(self, *_: object, metadata: Any = ()) -> QueryWriteStatusResponse:
        """How far it is."""
        return QueryWriteStatusResponse(committed_size=self.statuses.pop(0))


class ClosedLink(ScriptedLink):
    """A link over which nothing goes."""

    async def write(
        self, requests: AsyncIterator[WriteRequest], *, metadata: Any = ()
    ) -> WriteResponse:
        """Fails before it asks for a message."""
        raise DOWN


class HeldBody(BytesBody):
    """A body that holds something, as an open file does.

    :ivar closed: whether it has let go.
    """

    __slots__ = ("closed",)

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.closed = False

    def chunks(self, offset: int = 0, end: int | None = None) -> Any:
        """Never asked for."""
        raise AssertionError

    def discard(self) -> None:
        """Let go."""
        self.closed = True


class WritingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.link = ScriptedLink(self.clock)

    def write(self, compressor: Compressor = Compressor.IDENTITY) -> Deferred[None]:
        """Begin an upload, and let all waits pass."""
        link: Any = self.link

        async def open_body() -> IBlobBody:
            return BytesBody(DATA)

        writing = Deferred.fromCoroutine(Writing(link, "").write(DIGEST, open_body, compressor, ()))
        self.clock.pump([1] * 10)
        return writing

    def test_whole_but_open(self) -> None:
        """A peer that holds every byte and has not seen the end is told just that."""
        self.link.replies, self.link.statuses = [DOWN, SIZE], [SIZE]
        self.successResultOf(self.write())
        (message,) = self.link.writes[1]
        self.assertEqual(
            (message.write_offset, message.data, message.finish_write), (SIZE, b"", True)
        )
        self.assertEqual(message.resource_name, self.link.writes[0][0].resource_name)

    def test_there_already(self) -> None:
        """A peer that says that it has the blob has it."""
        for compressor in Compressor.IDENTITY, Compressor.ZSTD:
            self.link.replies = [AlreadyExists("there already")]
            self.successResultOf(self.write(compressor))
            self.assertEqual(self.link.replies, [])

    def test_stands_still(self) -> None:
        """An upload that stands still is gone on with where the peer has taken some of it, only there."""
        self.link.replies, self.link.statuses = [no_answer(60), SIZE], [1]
        self.successResultOf(self.write())
        self.assertEqual([write[0].write_offset for write in self.link.writes], [0, 1])
        self.link.replies, self.link.statuses = [no_answer(60)], [0]
        self.failureResultOf(self.write(), Unavailable)
        self.link.replies = [no_answer(60)]
        self.failureResultOf(self.write(Compressor.ZSTD), Unavailable)
        self.assertEqual(self.link.replies, [])

    def test_swings(self) -> None:
        """A peer that has now more, now less of it makes no progress by that, and is tried a few times."""
        self.link.replies, self.link.statuses = [DOWN] * 20, [1, 0] * 10
        self.failureResultOf(self.write(), Unavailable)
        self.assertGreater(len(self.link.replies), 10)

    def test_impossible_offsets(self) -> None:
        """A peer that holds less than nothing, or more than there is, gets all of it again."""
        for held in (-1, SIZE + 1):
            self.link.replies, self.link.statuses = [DOWN, SIZE], [held]
            self.successResultOf(self.write())
            self.assertEqual(self.link.writes[-1][0].write_offset, 0)
            self.assertEqual(b"".join(m.data for m in self.link.writes[-1]), DATA)

    def test_taken_in_part(self) -> None:
        """A peer that ends well and has not taken all has not taken it."""
        self.link.replies, self.link.statuses = [7] * 4, [0] * 4
        error = self.failureResultOf(self.write(), Unavailable).value
        self.assertIn("it took 7 bytes", str(error))

    def test_compressed_counts(self) -> None:
        """The count of a compressed upload may be that of the blob, of what was sent, or -1."""
        self.link.replies = [SIZE]
        self.successResultOf(self.write(Compressor.ZSTD))
        sent = sum(len(message.data) for message in self.link.writes[0])
        for committed in (-1, sent):
            self.link.replies = [committed]
            self.successResultOf(self.write(Compressor.ZSTD))

    def test_compressed_in_part(self) -> None:
        """Any other count is that of an upload which did not arrive."""
        self.link.replies = [0] * 4
        self.failureResultOf(self.write(Compressor.ZSTD), Unavailable)
        self.assertEqual(len(self.link.writes), 4)

    def test_never_asked_for(self) -> None:
        """A body is let go of when the call fails before it wants a byte."""
        body = HeldBody(DATA)
        link: Any = ClosedLink(self.clock)
        writing = Writing(link, "")
        failing = Deferred.fromCoroutine(writing.once(DIGEST, body, Compressor.IDENTITY, ()))
        self.failureResultOf(failing, Unavailable)
        self.assertTrue(body.closed)

    def test_kept_compressed(self) -> None:
        """What is kept compressed is sent as it is."""
        link: Any = self.link
        self.link.replies = [SIZE]
        writing = Writing(link, "").once(DIGEST, KeptBody(DATA), Compressor.ZSTD, ())
        self.successResultOf(Deferred.fromCoroutine(writing))
        self.assertEqual(b"".join(m.data for m in self.link.writes[0]), b"kept from 0")
        self.assertTrue(self.link.writes[0][-1].finish_write)
