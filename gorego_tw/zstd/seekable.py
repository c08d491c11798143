"""Blobs as zstd frames that can be expanded one by one, and a table of where they are.

This is zstd's seekable format: frames, then a skippable frame with the table. So the whole is a
zstd stream as well, and what is without the table is one for whoever does not skip.

Each frame expands to FRAME_BYTES, the last one to the rest, so the length of the table follows
from the size of the blob. Each has a checksum of what it expands to.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from struct import Struct
from typing import NamedTuple

import zstandard

#: What a frame expands to, in bytes. Measured on 240 MB of programs, libraries and headers: 1 MiB
#: makes them 1.2 % smaller, 128 KiB 3.7 % larger. A read that begins anywhere expands one frame in
#: vain at most, which takes 0.2 ms of this.
FRAME_BYTES = 256 * 1024

#: How long a frame is at most, in bytes: FRAME_BYTES that cannot be compressed, and zstd's own.
LONGEST_FRAME_BYTES = FRAME_BYTES + 4096

#: Blobs of more frames, which are those of more than 64 GiB, are not made into frames: whoever reads one has to look
#: at all of the table first, which takes 20 ms for so many.
MOST_FRAMES = 1 << 18

#: The level for what is kept: 8 % smaller than level 1, which is hardly faster (both 300 MB/s).
_LEVEL = 3

#: A skippable frame's magic number and length (RFC 8878, section 3.1.2).
_HEAD = Struct("<II")
_HEAD_MAGIC = 0x184D2A5E
#: The lengths of one frame, compressed and not.
_ENTRY = Struct("<II")
#: How many frames there are, a byte of flags (none: no checksums in the table), a magic number.
_FOOT = Struct("<IBI")
_FOOT_MAGIC = 0x8F92EAB1
FOOT_BYTES = _FOOT.size


class DamagedFrames(Exception):
    """Frames, or a table of frames, that are not as they were written."""


class Frame(NamedTuple):
    """Where a frame is, in bytes: in the file, and in the blob."""

    start: int
    end: int
    first: int
    size_bytes: int


def frame_sizes(size_bytes: int) -> array[int]:
    """What the frames of a blob of that size expand to, in bytes."""
    whole, rest = divmod(size_bytes, FRAME_BYTES)
    return array("I", (FRAME_BYTES,)) * whole + array("I", (rest,) if rest else ())


def frame_count(size_bytes: int) -> int:
    """How many frames a blob of that size has."""
    return -(-size_bytes // FRAME_BYTES)


def table_bytes(size_bytes: int) -> int:
    """How long the table of a blob of that size is, in bytes."""
    return _HEAD.size + frame_count(size_bytes) * _ENTRY.size + _FOOT.size


def pack_table(lengths: Sequence[int], size_bytes: int) -> bytes:
    """The table.

    :param lengths: of the compressed frames, in bytes.
    :param size_bytes: of the blob.
    """
    count = frame_count(size_bytes)
    # There may be 262,144: nothing here takes a step of Python for each.
    numbers = array("I", bytes(count * _ENTRY.size))
    numbers[::2], numbers[1::2] = array("I", lengths), frame_sizes(size_bytes)
    if sys.byteorder == "big":
        numbers.byteswap()
    head = _HEAD.pack(_HEAD_MAGIC, count * _ENTRY.size + _FOOT.size)
    return head + numbers.tobytes() + _FOOT.pack(count, 0, _FOOT_MAGIC)


def length_by_foot(foot: bytes) -> int | None:
    """How long the table is whose last FOOT_BYTES these are, in bytes; None if no table ends so."""
    if len(foot) != FOOT_BYTES:
        return None
    count, flags, magic = _FOOT.unpack(foot)
    if (flags, magic) != (0, _FOOT_MAGIC) or not 0 < count <= MOST_FRAMES:
        return None
    return _HEAD.size + int(count) * _ENTRY.size + _FOOT.size


def size_by_table(table: bytes) -> int:
    """The size of the blob whose table this is, in bytes, if it is one."""
    return sum(_columns(table)[1])


class FrameTable:
    """Where the frames of a blob are.

    :param table: as it was packed.
    :param size_bytes: of the blob.
    :param file_bytes: of all frames together with the table.
    :ivar data_bytes: of all frames together, where the table begins.
    :raises DamagedFrames: it is not the table of these.
    """

    def __init__(self, table: bytes | bytearray, size_bytes: int, file_bytes: int) -> None:
        self._size_bytes = size_bytes
        self.data_bytes = file_bytes - len(table)
        if len(table) != table_bytes(size_bytes):
            raise DamagedFrames("a table of another length")
        lengths, _ = _columns(table)
        self._ends = array("Q", accumulate(lengths, initial=0))
        if pack_table(lengths, size_bytes) != table or self._ends[-1] != self.data_bytes:
            raise DamagedFrames("no table of these frames")
        if max(lengths, default=0) > LONGEST_FRAME_BYTES:
            raise DamagedFrames("a frame that is too long")

    def frames(self, offset: int = 0) -> Iterator[Frame]:
        """The frames from the one on that the byte ``offset`` of the blob is in."""
        number = offset // FRAME_BYTES
        for start, end in pairwise(self._ends[number:]):
            first = number * FRAME_BYTES
            yield Frame(start, end, first, min(FRAME_BYTES, self._size_bytes - first))
            number += 1


def _columns(table: bytes | bytearray) -> tuple[array[int], array[int]]:
    """The lengths of the frames in a table, and what they expand to."""
    numbers = array("I")
    numbers.frombytes(table[_HEAD.size : -_FOOT.size])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers[::2], numbers[1::2]


class FrameCompressor:
    """Makes frames, one after the other; one call at a time, in any thread."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)

    def compress(self, data: bytes | memoryview) -> bytes:
        """The frame that expands to ``data``, which is FRAME_BYTES or the rest."""
        return self._compressor.compress(data)


class FrameDecompressor:
    """Expands frames; one call at a time, in any thread."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor()

    def expand(self, frame: bytes | bytearray, size_bytes: int) -> bytes:
        """What the frame expands to.

        :param size_bytes: how much that has to be, in bytes; never is more expanded.
        :raises DamagedFrames: it is not that frame.
        """
        try:
            if zstandard.frame_content_size(frame) != size_bytes:
                raise DamagedFrames("a frame of another size")
            return self._decompressor.decompress(frame, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise DamagedFrames(str(error)) from None
