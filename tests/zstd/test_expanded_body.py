"""Tests of gorego_tw.zstd.expanded_body."""

from __future__ import annotations

import zstandard
from zope.interface.verify import verifyObject

from gorego_tw.digest import digest_of
from gorego_tw.errors import DigestMismatch
from gorego_tw.interfaces import IBlobBody
from gorego_tw.zstd.compression import PIECE_BYTES
from gorego_tw.zstd.expanded_body import ExpandedBody
from tests.reapi.fakes import SHA256, ServiceTestCase, collect, stream

DATA = b"text " * 100_000
DIGEST = digest_of(DATA, SHA256)
COMPRESSED = zstandard.ZstdCompressor().compress(DATA)


class ExpandedBodyTests(ServiceTestCase):
    """A body that expands what it is made of."""

    def body(self, *pieces: bytes) -> ExpandedBody:
        """The blob, from these pieces of compressed data."""
        return ExpandedBody(DIGEST, stream(pieces))

    def test_role(self) -> None:
        """It is a body, of the size of the blob."""
        verifyObject(IBlobBody, self.body())
        self.assertEqual(self.body().size_bytes, len(DATA))

    def test_chunks(self) -> None:
        """The chunks are the blob, none longer than a block, however the data is cut."""
        for at in (0, 1, 20, len(COMPRESSED)):
            body = self.body(COMPRESSED[:at], COMPRESSED[at:])
            chunks = self.result_of(collect(body.chunks()))
            self.assertEqual(b"".join(chunks), DATA)
            self.assertLessEqual(max(map(len, chunks)), PIECE_BYTES)
            self.assertTrue(body.finished)

    def test_offset(self) -> None:
        """An offset skips expanded bytes, within a piece and across pieces."""
        for offset in (7, PIECE_BYTES, PIECE_BYTES + 1, len(DATA)):
            chunks = self.result_of(collect(self.body(COMPRESSED).chunks(offset)))
            self.assertEqual(b"".join(chunks), DATA[offset:])

    def test_read_all(self) -> None:
        """All in one piece."""
        self.assertEqual(self.result_of(self.body(COMPRESSED).read_all()), DATA)

    def test_discard(self) -> None:
        """A body that was not read is not finished."""
        body = self.body(COMPRESSED)
        body.discard()
        self.assertFalse(body.finished)

    def test_mismatch(self) -> None:
        """Less than announced fails at the end."""
        body = self.body(zstandard.ZstdCompressor().compress(DATA[1:]))
        self.assert_fails(body.read_all(), DigestMismatch, f"announces {len(DATA)}")
        self.assertFalse(body.finished)
