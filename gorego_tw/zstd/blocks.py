"""Where the blocks of zstd frames end (RFC 8878, section 3.1).

One compressed message may expand thirty-thousandfold, and the decompressor
gives all of it at once. A block expands to 128 KiB at most, so whoever feeds it
block by block never holds more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gorego_tw.errors import InvalidArgument

_FRAME_MAGIC = 0xFD2FB528
#: 0x184D2A50 to 0x184D2A5F: frames that are to be skipped.
_SKIPPABLE_MAGIC = 0x184D2A5
_RLE_BLOCK = 1
_RESERVED_BLOCK = 3

#: A block takes about 1 µs to find, and may be empty: a message of 4 MiB of nothing but empty
#: ones would take more than a second. So many are free, which takes some 5 ms; beyond them their
#: average has to be this, in bytes. Encoders make blocks of 128 KiB, or of what one flush has.
_FREE_BLOCKS = 4096
_MIN_BLOCK_BYTES = 256

_DICTIONARY_ID_BYTES = (0, 1, 2, 4)
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)


class Blocks:
    """Cuts a stream of frames into pieces that hold the end of one block at most.

    :ivar expanded: how many bytes the pieces expanded to; whoever expands them keeps count.
    """

    def __init__(self) -> None:
        self.expanded = 0
        self._blocks = 0
        self._header = bytearray()
        self._needed = 4
        self._read_header: Callable[[int], None] = self._magic
        self._skip = 0
        self._checksum = False
        self._frames = 0

    @property
    def at_end(self) -> bool:
        """Whether one frame or more came, and the last is whole."""
        return bool(self._frames) and not (self._header or self._skip or self._inside)

    @property
    def _inside(self) -> bool:
        return self._read_header != self._magic

    def cut(self, data: bytes | memoryview) -> Iterator[memoryview]:
        """All of ``data``, in pieces.

        :raises InvalidArgument: these are not zstd frames.
        """
        view = memoryview(data)
        start = at = 0
        while at < len(view):
            if self._skip:
                step = min(self._skip, len(view) - at)
                self._skip -= step
                at += step
                if self._skip:
                    break
                yield view[start:at]
                start = at
                continue
            step = min(self._needed - len(self._header), len(view) - at)
            self._header += view[at : at + step]
            at += step
            if len(self._header) == self._needed:
                value = int.from_bytes(self._header, "little")
                self._header.clear()
                self._read_header(value)
        if start < at:
            yield view[start:at]

    def _expect(self, needed: int, read_header: Callable[[int], None]) -> None:
        self._needed = needed
        self._read_header = read_header

    def _magic(self, value: int) -> None:
        if value == _FRAME_MAGIC:
            self._expect(1, self._descriptor)
        elif value >> 4 == _SKIPPABLE_MAGIC:
            self._expect(4, self._skippable_size)
        else:
            where = "after the last frame" if self._frames else "at the start"
            raise InvalidArgument(
                f"zstd data: {value.to_bytes(4, 'little').hex()} {where}; "
                "a frame begins with 28b52ffd"
            )

    def _descriptor(self, value: int) -> None:
        single_segment = value >> 5 & 1
        self._checksum = bool(value >> 2 & 1)
        content_size = _CONTENT_SIZE_BYTES[value >> 6] or single_segment
        window = 1 - single_segment
        size = window + _DICTIONARY_ID_BYTES[value & 3] + content_size
        self._expect(size, self._frame_header)

    def _frame_header(self, value: int) -> None:
        # What it says is the decompressor's business.
        self._expect(3, self._block)

    def _block(self, value: int) -> None:
        self._count()
        kind, size = value >> 1 & 3, value >> 3
        if kind == _RESERVED_BLOCK:
            raise InvalidArgument("zstd data: a block of the reserved type 3; types are 0 to 2")
        self._skip = 1 if kind == _RLE_BLOCK else size
        if not value & 1:
            return
        if self._checksum:
            self._expect(4, self._frame_checksum)
        else:
            self._frame_end()

    def _frame_checksum(self, value: int) -> None:
        self._frame_end()

    def _skippable_size(self, value: int) -> None:
        self._count()
        self._skip = value
        self._frame_end()

    def _count(self) -> None:
        self._blocks += 1
        allowed = _FREE_BLOCKS + self.expanded // _MIN_BLOCK_BYTES
        if self._blocks > allowed:
            raise InvalidArgument(
                f"zstd data: more than {allowed} blocks for {self.expanded} bytes; "
                f"blocks have {_MIN_BLOCK_BYTES} bytes or more on average"
            )

    def _frame_end(self) -> None:
        self._frames += 1
        self._expect(4, self._magic)
