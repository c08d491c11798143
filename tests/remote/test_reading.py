"""Tests of gorego_tw.remote.reading: of what a peer sends that is not as it should be."""

from __future__ import annotations

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import DataLoss
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

    async def test_too_many(self) -> None:
        """More bytes than the digest announces are damage, in whichever piece they come."""
        await self.failed(self.read(DATA, b"x"), DataLoss)
        await self.failed(self.read(DATA + b"x"), DataLoss)

    async def test_not_zstd(self) -> None:
        """What should be zstd and is not is damage."""
        await self.failed(self.read(DATA, compressor=Compressor.ZSTD), DataLoss)
