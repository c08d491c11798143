"""The latest bytes of a blob that arrives, in memory that all its readers share."""

from __future__ import annotations

from collections import deque

from gorego_tw.storage.blob_writer import WRITE_CHUNK

#: How much of a blob stays in memory for readers close to its tip, in bytes. Who is further behind
#: reads from the file, which the operating system has in memory too, at the price of a copy for
#: each reader. Every blob that arrives takes up to so much memory, and one segment.
TAIL_BYTES = 2 * 1024 * 1024


_NONE = memoryview(b"")


class Segment:
    """A part of the blob, with memory for all of it from the beginning.

    :ivar start: where in the blob it begins, in bytes.
    :ivar filled: how many bytes are in it.
    """

    __slots__ = ("filled", "memory", "readable", "start")

    def __init__(self, start: int, size_bytes: int) -> None:
        self.start = start
        self.filled = 0
        self.memory = memoryview(bytearray(size_bytes))
        self.readable = self.memory.toreadonly()

    @property
    def end(self) -> int:
        """Where in the blob the part after it begins, in bytes."""
        return self.start + len(self.memory)

    @property
    def full(self) -> bool:
        """Whether nothing more goes in."""
        return self.filled == len(self.memory)


class Tail:
    """Segments of WRITE_CHUNK bytes, the last one what is left.

    Bytes are copied in once, and given out as they are: many small pieces that have come become one
    for a reader that was not quick enough for each of them, and readers cost no memory.

    :param total_bytes: the size of the blob.
    :ivar size_bytes: how many bytes were taken in.
    """

    def __init__(self, total_bytes: int) -> None:
        self.size_bytes = 0
        self._total_bytes = total_bytes
        self._segments: deque[Segment] = deque()

    def room(self) -> memoryview:
        """Memory for the next bytes, which :meth:`append` takes without a copy; none at the end of the blob."""
        if self.size_bytes == self._total_bytes:
            return _NONE
        segment = self._open_segment()
        return segment.memory[segment.filled :]

    def append(self, data: bytes | memoryview) -> None:
        """Take the next bytes; never more than the blob has."""
        if isinstance(data, memoryview) and self._is_in_place(data):
            self._segments[-1].filled += len(data)
            self.size_bytes += len(data)
            return
        with memoryview(data) as rest:
            taken = 0
            while taken < len(rest):
                segment = self._open_segment()
                count = min(len(rest) - taken, len(segment.memory) - segment.filled)
                end = segment.filled + count
                segment.memory[segment.filled : end] = rest[taken : taken + count]
                segment.filled = end
                taken += count
                self.size_bytes += count

    def piece(self, offset: int, end: int) -> memoryview | None:
        """The bytes from ``offset`` on, up to ``end`` if they are in one segment; None if they are not held."""
        segment = self._at(offset)
        if segment is None:
            return None
        start = segment.start
        return segment.readable[offset - start : min(segment.filled, end - start)]

    def full_pieces(self, offset: int) -> list[memoryview]:
        """The segments from ``offset`` on, where one begins, as far as they are full."""
        found = []
        while (segment := self._at(offset)) is not None and segment.full:
            found.append(segment.readable)
            offset = segment.end
        return found

    def trim(self, written_bytes: int) -> None:
        """Let go of what is in the file, as far as it is more than TAIL_BYTES."""
        segments = self._segments
        while segments and segments[0].end <= min(written_bytes, self.size_bytes - TAIL_BYTES):
            segments.popleft()

    def _is_in_place(self, data: memoryview) -> bool:
        """Whether they were put into the room: nobody else has memory that may be written to."""
        return bool(self._segments) and data.obj is self._segments[-1].memory.obj

    def _open_segment(self) -> Segment:
        if not self._segments or self._segments[-1].full:
            size = min(WRITE_CHUNK, self._total_bytes - self.size_bytes)
            self._segments.append(Segment(self.size_bytes, size))
        return self._segments[-1]

    def _at(self, offset: int) -> Segment | None:
        segments = self._segments
        if not segments or not segments[0].start <= offset < self.size_bytes:
            return None
        return segments[(offset - segments[0].start) // WRITE_CHUNK]
