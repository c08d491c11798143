"""What is to be sent: frames, in order, until somebody takes them as bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gorego_tw.http2 import settings
from gorego_tw.http2.errors import ErrorCode
from gorego_tw.http2.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HEADER,
    FrameType,
    frame,
    head,
)

#: Frames are not made larger than this, whatever the peer takes: other streams wait meanwhile.
MAX_FRAME = 512 * 1024

#: Before our first header block: a table size update to 0. Our blocks never use a table, and so no
#: later SETTINGS_HEADER_TABLE_SIZE of the peer asks for another update (RFC 7541 section 4.2).
_NO_TABLE = b"\x20"


class FrameQueue:
    """Frames that wait to be sent. Data is not copied before :meth:`take`."""

    __slots__ = ("_block_prefix", "_frame_size", "_out")

    def __init__(self) -> None:
        self._out: list[bytes | memoryview] = []
        self._frame_size = settings.DEFAULT_FRAME_SIZE
        self._block_prefix = _NO_TABLE

    def __bool__(self) -> bool:
        return bool(self._out)

    def take(self) -> list[bytes | memoryview]:
        """All of it, in pieces."""
        pieces, self._out = self._out, []
        return pieces

    def allow_frames(self, size: int) -> None:
        """The peer takes frames of ``size`` bytes."""
        self._frame_size = min(MAX_FRAME, size)

    def block(self, stream_id: int, block: bytes, *, last: bool) -> None:
        """A header block, in as many frames as it needs; ``last`` ends the stream."""
        size = self._frame_size
        block, self._block_prefix = self._block_prefix + block, b""
        frame_type, flags = FrameType.HEADERS, END_STREAM if last else 0
        while len(block) > size:
            self._out.append(frame(frame_type, flags, stream_id, block[:size]))
            block = block[size:]
            frame_type, flags = FrameType.CONTINUATION, 0
        self._out.append(frame(frame_type, flags | END_HEADERS, stream_id, block))

    def data(self, stream_id: int, pieces: Sequence[bytes | memoryview], size: int) -> None:
        """DATA frames of ``size`` bytes in all; the pieces must not change until they are taken."""
        out, largest = self._out, self._frame_size
        if size <= largest:
            out.append(head(size, FrameType.DATA, 0, stream_id))
            out.extend(pieces)
            return
        room = 0  # in the frame that was begun
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                if not room:
                    room = min(largest, size)
                    size -= room
                    out.append(head(room, FrameType.DATA, 0, stream_id))
                out.append(rest[:room])
                taken = min(room, len(rest))
                room -= taken
                rest = rest[taken:]

    def end(self, stream_id: int) -> None:
        """An empty DATA frame that ends the stream."""
        self._out.append(head(0, FrameType.DATA, END_STREAM, stream_id))

    def answer(self, stream_id: int, headers: bytes, data: bytes, trailers: bytes) -> bool:
        """Headers, data and trailers in one piece; False, and nothing done, if it takes more frames."""
        n, size, m = len(headers), len(data), len(trailers)
        if max(n, size, m) > self._frame_size or self._block_prefix:
            return False
        pack = HEADER.pack
        self._out.append(
            b"".join(
                (
                    pack(n >> 8, n & 0xFF, 1, END_HEADERS, stream_id),
                    headers,
                    pack(size >> 8, size & 0xFF, 0, 0, stream_id),
                    data,
                    pack(m >> 8, m & 0xFF, 1, END_HEADERS | END_STREAM, stream_id),
                    trailers,
                )
            )
        )
        return True

    def settings(self, changes: Mapping[int, int]) -> None:
        """Our SETTINGS."""
        self._out.append(frame(FrameType.SETTINGS, 0, 0, settings.encode(changes)))

    def settings_ack(self) -> None:
        """The peer's SETTINGS are in force."""
        self._out.append(frame(FrameType.SETTINGS, ACK, 0, b""))

    def ping(self, payload: bytes, *, ack: bool) -> None:
        """A PING of ours, or the answer to one."""
        self._out.append(frame(FrameType.PING, ACK if ack else 0, 0, payload))

    def window_update(self, stream_id: int, increment: int) -> None:
        """More room for the peer."""
        payload = increment.to_bytes(4, "big")
        self._out.append(frame(FrameType.WINDOW_UPDATE, 0, stream_id, payload))

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """RST_STREAM."""
        self._out.append(frame(FrameType.RST_STREAM, 0, stream_id, code.to_bytes(4, "big")))

    def goaway(self, last_stream_id: int, code: ErrorCode, debug: bytes) -> None:
        """GOAWAY."""
        payload = last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big") + debug
        self._out.append(frame(FrameType.GOAWAY, 0, 0, payload))
