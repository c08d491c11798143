"""Tests of gorego_tw.remote.reading: of what a peer sends that is not as it should be."""

from __future__ import annotations

import random

from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import DataLoss, FailedPrecondition, ResourceExhausted, Unavailable
from gorego_tw.interfaces import ILandingBody
from gorego_tw.remote import resuming
from gorego_tw.remote.breaker import State
from gorego_tw.remote.reading import BULK_BYTES, Reading
from gorego_tw.resource_name import Compressor
from tests.remote.peer import PeerTestCase

DATA = bytes(100_000)
DIGEST = digest_of(DATA, DigestFunction.SHA256)


LARGE = random.Random(1).randbytes(2 * BULK_BYTES)
LARGE_DIGEST = digest_of(LARGE, DigestFunction.SHA256)


class ReadingTests(PeerTestCase):
    async def read(
        self,
        *pieces: bytes,
        digest: Digest = DIGEST,
        compressor: Compressor = Compressor.IDENTITY,
    ) -> bytes:
        """The blob, of which the peer sends those pieces."""
        self.service.pieces = list(pieces)
        body = await Reading(self.link(), "").open(digest, compressor, ())
        return b"".join([bytes(piece) async for piece in body.chunks()])

    async def test_bulk(self) -> None:
        """A large blob comes over a connection of its own, others do not."""
        for data, digest, in_flight in ((LARGE, LARGE_DIGEST, 1), (DATA, DIGEST, 0)):
            self.service.pieces = [data]
            body = await Reading(self.link(), "").open(digest, Compressor.IDENTITY, ())
            self.assertEqual(self.bulk.in_flight, in_flight)
            self.assertTrue(await body.read_all() == data)

    async def test_bulk_gone_on_with(self) -> None:
        """What breaks off in a large blob is gone on with, into the memory that is given."""
        self.service.failures = [Unavailable("down")]
        self.service.pieces = [LARGE[:1000]]
        body = await Reading(self.link(), "").open(LARGE_DIGEST, Compressor.IDENTITY, ())
        memory, found = memoryview(bytearray(len(LARGE))), 0
        assert ILandingBody.providedBy(body)
        pieces = body.chunks()
        found += len(await anext(pieces))
        body.land_in(lambda: memory[found:])
        self.service.pieces = [LARGE[1000:]]
        async for piece in pieces:
            self.assertTrue(memoryview(piece).obj is memory.obj)
            found += len(piece)
        self.assertEqual(found, len(LARGE))
        self.assertTrue(memory[1000:] == LARGE[1000:])

    async def test_too_many_in_bulk(self) -> None:
        """More bytes than announced are damage here, too."""
        await self.failed(self.read(LARGE, b"x", digest=LARGE_DIGEST), DataLoss)
        await self.failed(self.read(LARGE + b"x", digest=LARGE_DIGEST), DataLoss)

    async def test_pieces(self) -> None:
        """Pieces of any size make the blob, empty ones too."""
        self.assertEqual(await self.read(b"", DATA[:1], b"", DATA[1:], b""), DATA)

    async def test_broken_off_at_the_end(self) -> None:
        """A stream that breaks off after the last byte has given all there is."""
        for number, failure in enumerate((Unavailable("down"), ResourceExhausted("quota")), 1):
            self.service.failures = [failure]
            self.assertEqual(await self.read(DATA), DATA)
            self.assertEqual(len(self.service.calls), number)

    async def test_does_not_end(self) -> None:
        """A peer that has sent all and does not say so is not waited for, and is no peer in trouble."""
        self.patch(resuming, "END_SECONDS", 0.1)
        self.service.held_at_the_end = True
        for data, digest in ((DATA, DIGEST), (LARGE, LARGE_DIGEST)):
            self.assertEqual(await self.read(data, digest=digest), data)
        self.assertIs(self.breaker.state, State.CLOSED)

    async def test_refused_at_the_end(self) -> None:
        """An answer of the peer is heard, after the last byte too; trouble alone is not."""
        self.service.failures = [FailedPrecondition("it is gone")]
        await self.failed(self.read(DATA), FailedPrecondition)

    async def test_too_many(self) -> None:
        """More bytes than the digest announces are damage, in whichever piece they come."""
        await self.failed(self.read(DATA, b"x"), DataLoss)
        await self.failed(self.read(DATA + b"x"), DataLoss)

    async def test_not_zstd(self) -> None:
        """What should be zstd and is not is damage."""
        await self.failed(self.read(DATA, compressor=Compressor.ZSTD), DataLoss)
