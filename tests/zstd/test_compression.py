"""Tests of gorego_tw.zstd.compression and gorego_tw.zstd.blocks."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import zstandard
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gorego_tw.body import BytesBody
from gorego_tw.digest import Digest, digest_of
from gorego_tw.errors import DigestMismatch, InvalidArgument
from gorego_tw.interfaces import IBlobBody, ICompressedBody
from gorego_tw.zstd.blocks import Blocks
from gorego_tw.zstd.compression import (
    PIECE_BYTES,
    Decompressor,
    compress,
    compress_chunks,
    kept_compressed,
    zstd_chunks,
)
from tests.reapi.fakes import SHA256, ServiceTestCase, collect

NOISE = random.Random(1).randbytes(300_000)
TEXT = b"".join(b"%d bottles\n" % n for n in range(40_000))
SKIPPABLE = b"\x50\x2a\x4d\x18\x05\x00\x00\x00hello"


def expand(digest: Digest, *parts: bytes) -> tuple[bytes, int]:
    """What the parts expand to, and the length of the longest piece."""
    decompressor = Decompressor(digest)
    pieces = [piece for part in parts for piece in decompressor.feed(part)]
    decompressor.finish()
    return b"".join(pieces), max(map(len, pieces), default=0)


def frame(data: bytes, level: int = 3, *, checksum: bool = False) -> bytes:
    """One frame."""
    return zstandard.ZstdCompressor(level=level, write_checksum=checksum).compress(data)


class DecompressorTests(SynchronousTestCase):
    """Expanding what clients send."""

    def assert_refused(self, kind: type[InvalidArgument], fragment: str, *parts: bytes) -> None:
        """The parts, as the compressed form of TEXT, are refused with that message."""
        error = self.assertRaises(kind, expand, digest_of(TEXT, SHA256), *parts)
        self.assertIn(fragment, error.message)
        self.assertIn(digest_of(TEXT, SHA256).hash, f"{error.message}")

    def test_every_kind_of_block(self) -> None:
        """Raw, run-length and compressed blocks expand, with and without checksum."""
        for data in (b"", b"a", NOISE, bytes(2_000_000), TEXT):
            for checksum in (False, True):
                compressed = frame(data, checksum=checksum)
                expanded, longest = expand(digest_of(data, SHA256), compressed)
                self.assertEqual(expanded, data)
                self.assertLessEqual(longest, PIECE_BYTES)

    def test_any_split(self) -> None:
        """Where the messages are cut does not matter."""
        data = NOISE[:3000] + bytes(200_000) + TEXT[:5000]
        compressed = frame(data, checksum=True)
        for size in (1, 2, 3, 7, 1000):
            parts = [compressed[at : at + size] for at in range(0, len(compressed), size)]
            self.assertEqual(expand(digest_of(data, SHA256), *parts)[0], data)

    def test_unknown_content_size(self) -> None:
        """A frame that does not say how much it expands to is fine."""
        stream = zstandard.ZstdCompressor().compressobj()
        compressed = stream.compress(TEXT) + stream.flush()
        self.assertEqual(expand(digest_of(TEXT, SHA256), compressed)[0], TEXT)

    def test_several_frames(self) -> None:
        """Frames one after the other are one blob, and skippable ones are skipped."""
        compressed = SKIPPABLE + frame(TEXT[:99]) + SKIPPABLE + frame(TEXT[99:]) + SKIPPABLE
        self.assertEqual(expand(digest_of(TEXT, SHA256), compressed)[0], TEXT)

    def test_trailing_garbage(self) -> None:
        """Bytes after the last frame that are no frame are refused, even one."""
        for garbage in (b"garbage", b"\x28\xb5\x2f\xfe"):
            error = self.assertRaises(
                InvalidArgument, expand, digest_of(TEXT, SHA256), frame(TEXT) + garbage
            )
            self.assertIn("after the last frame", error.message)
            self.assertIn("28b52ffd", error.message)
        self.assert_refused(InvalidArgument, "in the middle of a frame", frame(TEXT) + b"\x28")

    def test_not_zstd(self) -> None:
        """Data that is not compressed at all is refused."""
        error = self.assertRaises(InvalidArgument, expand, digest_of(TEXT, SHA256), TEXT)
        self.assertIn("at the start", error.message)

    def test_cut_off(self) -> None:
        """A frame that is not whole is refused, even if only its checksum is not."""
        compressed = frame(TEXT, checksum=True)
        for length in (0, 3, 5, 6, 100, len(compressed) - 4, len(compressed) - 1):
            self.assert_refused(InvalidArgument, "middle of a frame", compressed[:length])

    def test_damaged(self) -> None:
        """What zstd finds wrong is passed on."""
        compressed = bytearray(frame(TEXT, checksum=True))
        compressed[-1] ^= 1
        self.assert_refused(InvalidArgument, "zstd data:", bytes(compressed))

    def test_too_little(self) -> None:
        """Less than the digest announces is a mismatch that names both sizes."""
        self.assert_refused(DigestMismatch, f"announces {len(TEXT)}", frame(TEXT[:100]))

    def test_bomb(self) -> None:
        """Expansion stops at the first block beyond the size announced."""
        decompressor = Decompressor(digest_of(b"a" * 1000, SHA256))
        bomb = frame(bytes(50_000_000))
        error = self.assertRaises(DigestMismatch, list, decompressor.feed(bomb))
        self.assertIn("more than the 1000 bytes", error.message)

    def test_expands_when_asked(self) -> None:
        """Only what is asked for is expanded: a piece at a time."""
        pieces = Decompressor(digest_of(bytes(1 << 26), SHA256)).feed(frame(bytes(1 << 26)))
        self.assertEqual(len(next(pieces)), PIECE_BYTES)

    def test_window(self) -> None:
        """A frame that wants more memory than zstd's own limit is refused."""
        greedy = b"\x28\xb5\x2f\xfd\x00\xf8" + b"\x01\x00\x00"
        self.assert_refused(InvalidArgument, "zstd data:", greedy)

    def test_largest_window(self) -> None:
        """What the levels up to 19 make of a large blob is taken; a window of 16 MiB is not."""
        parameters = zstandard.ZstdCompressionParameters
        for log, is_taken in ((23, True), (24, False)):
            stream = zstandard.ZstdCompressor(
                compression_params=parameters.from_level(1, window_log=log)
            ).compressobj()
            data = stream.compress(TEXT) + stream.flush()
            if is_taken:
                self.assertEqual(expand(digest_of(TEXT, SHA256), data)[0], TEXT)
            else:
                self.assert_refused(InvalidArgument, "zstd data:", data)

    def test_empty_blocks(self) -> None:
        """Data of nearly nothing but empty blocks, or frames, is refused before it takes long."""
        stream = zstandard.ZstdCompressor().compressobj()
        begin = stream.compress(b"x") + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        for data in (begin + bytes(3) * 5000, SKIPPABLE * 5000):
            self.assert_refused(InvalidArgument, "more than 4096 blocks", data)

    def test_small_blocks(self) -> None:
        """A client that flushes after each few hundred bytes, or makes a frame of them, is fine."""
        stream = zstandard.ZstdCompressor().compressobj()
        data = b"".join(
            stream.compress(TEXT[at : at + 300]) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
            for at in range(0, len(TEXT), 300)
        )
        self.assertEqual(expand(digest_of(TEXT, SHA256), data + stream.flush())[0], TEXT)
        frames = b"".join(frame(TEXT[at : at + 300]) for at in range(0, len(TEXT), 300))
        self.assertEqual(expand(digest_of(TEXT, SHA256), frames)[0], TEXT)


class BlocksTests(SynchronousTestCase):
    """Cutting frames into blocks."""

    def test_nothing_is_lost(self) -> None:
        """The pieces are the data, and there is one for each block or more."""
        data = frame(bytes(1_000_000))
        pieces = list(Blocks().cut(data))
        self.assertEqual(b"".join(pieces), data)
        self.assertGreaterEqual(len(pieces), 1_000_000 // PIECE_BYTES)

    def test_end(self) -> None:
        """The end is where a frame ends, and not before the first."""
        blocks = Blocks()
        self.assertFalse(blocks.at_end)
        data = frame(TEXT)
        list(blocks.cut(data[:-1]))
        self.assertFalse(blocks.at_end)
        list(blocks.cut(data[-1:]))
        self.assertTrue(blocks.at_end)

    def test_reserved_block(self) -> None:
        """The type of block that does not exist is refused."""
        data = b"\x28\xb5\x2f\xfd\x20\x00" + b"\x07\x00\x00"
        error = self.assertRaises(InvalidArgument, list, Blocks().cut(data))
        self.assertIn("reserved type 3", error.message)


async def chunks_of(*chunks: bytes) -> AsyncIterator[bytes | memoryview]:
    """The chunks."""
    for chunk in chunks:
        yield chunk


class CompressTests(ServiceTestCase):
    """Compressing what clients read."""

    def compressed(self, *chunks: bytes) -> list[bytes | memoryview]:
        """The pieces the chunks are compressed to."""
        size = sum(map(len, chunks))
        return self.result_of(collect(compress_chunks(chunks_of(*chunks), size)))

    def test_round_trip(self) -> None:
        """The pieces are one frame that expands to the chunks."""
        pieces = self.compressed(TEXT, NOISE, b"", b"x")
        data = zstandard.ZstdDecompressor().decompress(b"".join(pieces))
        self.assertEqual(data, TEXT + NOISE + b"x")

    def test_pieces_are_small(self) -> None:
        """Data that does not compress comes in pieces of at most 128 KiB."""
        pieces = self.compressed(NOISE * 3)
        self.assertLessEqual(max(map(len, pieces)), PIECE_BYTES)

    def test_empty(self) -> None:
        """Nothing is a valid frame of nothing."""
        frame_of_nothing = b"".join(self.compressed())
        self.assertEqual(expand(digest_of(b"", SHA256), frame_of_nothing)[0], b"")
        self.assertEqual(expand(digest_of(b"", SHA256), compress(b""))[0], b"")


@implementer(ICompressedBody)
class KeptBody(BytesBody):
    """A body that is kept compressed.

    :ivar left: how often it was let go of.
    """

    is_one_frame = True

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.left = 0

    async def zstd_chunks(self, offset: int = 0) -> AsyncIterator[bytes | memoryview]:
        """What it is kept as."""
        try:
            yield b"kept from %d" % offset
        finally:
            self.left += 1


class BodyTests(ServiceTestCase):
    """Bodies as clients of zstd get them."""

    async def pieces(self, body: IBlobBody, offset: int = 0) -> bytes:
        """All of them."""
        async with zstd_chunks(body, offset) as pieces:
            return b"".join(await collect(pieces))

    def test_as_it_is_kept(self) -> None:
        """What is kept compressed is not compressed again."""
        body = KeptBody(TEXT)
        self.assertEqual(self.result_of(self.pieces(body, 7)), b"kept from 7")
        self.assertEqual(body.left, 1)
        self.assertIs(kept_compressed(body), body)

    def test_on_the_way(self) -> None:
        """What is kept as it is becomes one frame on the way."""
        frame = self.result_of(self.pieces(BytesBody(TEXT), 7))
        self.assertEqual(zstandard.ZstdDecompressor().decompress(frame), TEXT[7:])
        self.assertIsNone(kept_compressed(BytesBody(TEXT)))
