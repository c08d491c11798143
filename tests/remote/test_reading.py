"""Tests of gorego_tw.remote.reading: of what a peer sends that is not as it should be."""

from __future__ import annotations

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import DataLoss, FailedPrecondition, Unavailable
from gorego_tw.remote.reading import Reading
from gorego_tw.resource_name import Compressor
from tests.remote.peer import PeerTestCase

DATA = bytes(100_000)
DIGEST = digest_of(DATA, DigestFunction.SHA256)


class ReadingTests(PeerTestCase):
    async def read(self, *pieces: bytes, compressor: Compressor = Compressor.IDENTITY) -> bytes:
        """The blob, of which the peer sends those pieces."""
        self.service.pieces = list(pieces)
        body = await Reading(self.link(), "").open(DIGEST, compressor, ())
        return b"".join([bytes(piece) async for piece in body.chunks()])

    async def test_pieces(self) -> None:
        """Pieces of any size make the blob, empty ones too."""
        self.assertEqual(await self.read(b"", DATA[:1], b"", DATA[1:], b""), DATA)

    async def test_broken_off_at_the_end(self) -> None:
        """A stream that breaks off after the last byte has given all there is."""
        self.service.failures = [Unavailable("down")]
        self.assertEqual(await self.read(DATA), DATA)
        self.assertEqual(len(self.service.calls), 1)

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
