"""Tests of gorego_tw.zstd.seekable."""

from __future__ import annotations

import contextlib
from random import Random

import zstandard
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.zstd.seekable import (
    FOOT_BYTES,
    FRAME_BYTES,
    LONGEST_FRAME_BYTES,
    MOST_FRAMES,
    DamagedFrames,
    FrameCompressor,
    FrameDecompressor,
    FrameTable,
    frame_count,
    frame_sizes,
    length_by_foot,
    pack_table,
    size_by_table,
    table_bytes,
)

SIZES = (1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES, 3 * FRAME_BYTES + 5)


def some(size_bytes: int) -> bytes:
    """Bytes that can be compressed."""
    return Random(size_bytes).randbytes(size_bytes // 2 + 1).hex()[:size_bytes].encode()


def frames_of(data: bytes) -> list[bytes]:
    """The frames of a blob."""
    compressor = FrameCompressor()
    starts = range(0, len(data), FRAME_BYTES)
    return [compressor.compress(data[start : start + FRAME_BYTES]) for start in starts]


def table_of(frames: list[bytes], size_bytes: int) -> bytes:
    """The table of those frames."""
    return pack_table(list(map(len, frames)), size_bytes)


class TableTests(SynchronousTestCase):
    def test_sizes(self) -> None:
        """All frames but the last are of one size, and the table is as long as it is said to be."""
        for size in SIZES:
            sizes = list(frame_sizes(size))
            self.assertEqual((sum(sizes), len(sizes)), (size, frame_count(size)))
            self.assertEqual(set(sizes[:-1]) - {FRAME_BYTES}, set())
            self.assertEqual(len(table_of(frames_of(some(size)), size)), table_bytes(size))

    def test_every_offset_has_its_frame(self) -> None:
        """The frames from an offset on begin with the one that it is in, and expand to the rest."""
        decompressor = FrameDecompressor()
        for size in SIZES:
            data = some(size)
            frames = frames_of(data)
            packed, whole = table_of(frames, size), b"".join(frames)
            table = FrameTable(packed, size, len(whole) + len(packed))
            self.assertEqual(table.data_bytes, len(whole))
            for offset in (0, 1, size // 2, size - 1):
                found = list(table.frames(offset))
                self.assertEqual(found[0].first, offset - offset % FRAME_BYTES)
                expanded = b"".join(
                    decompressor.expand(whole[frame.start : frame.end], frame.size_bytes)
                    for frame in found
                )
                self.assertEqual(expanded, data[found[0].first :])

    def test_zstd_stream(self) -> None:
        """All of it, with the table, is what any decoder of zstd expands."""
        data = some(SIZES[-1])
        frames = frames_of(data)
        stream = b"".join((*frames, table_of(frames, len(data))))
        reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
        self.assertEqual(reader.read(), data)

    def test_foot(self) -> None:
        """The foot tells the length of the table, unless it has more frames than anything is made into."""
        for count in (1, 3, MOST_FRAMES):
            size = count * FRAME_BYTES
            packed = pack_table([30] * count, size)
            self.assertEqual(length_by_foot(packed[-FOOT_BYTES:]), len(packed))
            self.assertEqual(size_by_table(packed), size)
        more = pack_table([30] * (MOST_FRAMES + 1), MOST_FRAMES * FRAME_BYTES + 1)
        for foot in (more[-FOOT_BYTES:], pack_table([], 0)[-FOOT_BYTES:], b"", bytes(FOOT_BYTES)):
            self.assertIsNone(length_by_foot(foot))

    def test_long_frame(self) -> None:
        """A table of frames that are longer than any is none: nobody takes memory for them."""
        lengths = [LONGEST_FRAME_BYTES, LONGEST_FRAME_BYTES]
        for more in (0, 1):
            packed = pack_table([lengths[0] + more, lengths[1]], FRAME_BYTES + 1)
            length = sum(lengths) + more + len(packed)
            if more:
                self.assertRaises(DamagedFrames, FrameTable, packed, FRAME_BYTES + 1, length)
            else:
                FrameTable(packed, FRAME_BYTES + 1, length)

    def test_damaged(self) -> None:
        """A table with any other byte in it, of another length, or of other frames is none."""
        size = SIZES[-1]
        frames = frames_of(some(size))
        packed = table_of(frames, size)
        length = sum(map(len, frames)) + len(packed)
        for position in range(len(packed)):
            wrong = bytearray(packed)
            wrong[position] ^= 1
            self.assertRaises(DamagedFrames, FrameTable, wrong, size, length)
        for table, size_bytes, file_bytes in (
            (b"", size, length),
            (packed[1:], size, length),
            (packed, size + 1, length),
            (packed, size + FRAME_BYTES, length),
            (packed, size, length + 1),
        ):
            self.assertRaises(DamagedFrames, FrameTable, table, size_bytes, file_bytes)


class FrameTests(SynchronousTestCase):
    def test_damaged(self) -> None:
        """Of a frame with another byte in it nothing is given out that is wrong."""
        data = some(5000)
        (frame,) = frames_of(data)
        decompressor = FrameDecompressor()
        for position in range(len(frame)):
            wrong = bytearray(frame)
            wrong[position] ^= 1
            with contextlib.suppress(DamagedFrames):  # bits that mean nothing may be any
                self.assertEqual(decompressor.expand(wrong, len(data)), data)

    def test_no_frame(self) -> None:
        """What is cut, followed by something, of another size, or no frame at all is refused."""
        data = some(5000)
        (frame,) = frames_of(data)
        for wrong in (b"", b"garbage", frame[:-1], frame + b"x", frame + frame):
            self.assertRaises(DamagedFrames, FrameDecompressor().expand, wrong, len(data))
        self.assertRaises(DamagedFrames, FrameDecompressor().expand, frame, len(data) + 1)

    def test_bomb(self) -> None:
        """A frame that would expand to more than it should is not expanded."""
        bomb = zstandard.compress(bytes(1 << 30))
        self.assertRaises(DamagedFrames, FrameDecompressor().expand, bomb, FRAME_BYTES)
