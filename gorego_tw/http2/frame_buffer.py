"""Bytes to frames: the preface, length limits, and header blocks joined from their fragments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from gorego_tw.http2.errors import ConnectionViolation, ErrorCode
from gorego_tw.http2.frames import (
    ACK,
    END_HEADERS,
    HEADER,
    HEADER_BYTES,
    MASK_31,
    PADDED,
    PREFACE,
    PRIORITY_FLAG,
    FrameType,
    unpadded,
)
from gorego_tw.http2.limits import Limits

#: Type, flags, stream, payload. A HEADERS frame has its whole block, without padding and priority.
Frame: TypeAlias = tuple[int, int, int, bytes]

#: Stream dependency and weight, before the block of a HEADERS frame with the PRIORITY flag.
_PRIORITY_BYTES = 5

# As plain numbers: a member of an enumeration takes longer to find than all else done for a frame.
_DATA, _HEADERS = int(FrameType.DATA), int(FrameType.HEADERS)

#: Of the flags of HEADERS, those that say how much the frame has besides its block.
_SHAPE = END_HEADERS | PADDED | PRIORITY_FLAG


class FrameBuffer:
    """Cuts what a client sends into frames, however its bytes arrive."""

    __slots__ = ("_begun", "_buffer", "_first", "_fragments", "_held", "_limits", "_preface_left")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = b""
        self._preface_left = PREFACE
        self._first = True  # no frame has come
        self._begun: tuple[int, int] | None = None  # flags and stream of a block not complete
        self._fragments: list[bytes] = []
        self._held = 0

    def frames(self, data: bytes) -> Iterator[Frame]:
        """The frames that ``data`` completes.

        :raises ConnectionViolation: after the frames before what is wrong.
        """
        if self._preface_left:
            data = self._without_preface(data)
        buffer = self._buffer + data if self._buffer else data
        at, size, largest = 0, len(buffer), self._limits.max_frame_size
        unpack = HEADER.unpack_from
        if self._first and size >= HEADER_BYTES:
            self._first = False
            _require_settings(buffer)
        while size - at >= HEADER_BYTES:
            high, low, frame_type, flags, stream_id = unpack(buffer, at)
            length = high << 8 | low
            if length > largest:
                raise ConnectionViolation(
                    ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes; at most {largest}"
                )
            start = at + HEADER_BYTES
            end = start + length
            if end > size:
                break
            at = end
            payload = buffer[start:end]
            stream_id &= MASK_31
            # DATA, or HEADERS whole and plain: what nearly every frame is.
            if (
                frame_type == _DATA or (frame_type == _HEADERS and flags & _SHAPE == END_HEADERS)
            ) and self._begun is None:
                yield frame_type, flags, stream_id, payload
                continue
            frame = self._other(frame_type, flags, stream_id, payload)
            if frame is not None:
                yield frame
        self._buffer = buffer[at:]

    def _without_preface(self, data: bytes) -> bytes:
        expected = self._preface_left
        n = min(len(expected), len(data))
        if data[:n] != expected[:n]:
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "not an HTTP/2 client preface")
        self._preface_left = expected[n:]
        return data[n:]

    def _other(self, frame_type: int, flags: int, stream_id: int, payload: bytes) -> Frame | None:
        if self._begun is not None:
            return self._continued(frame_type, flags, stream_id, payload)
        if frame_type == FrameType.CONTINUATION:
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        if frame_type != FrameType.HEADERS:
            return frame_type, flags, stream_id, payload
        if flags & PADDED:
            payload = unpadded(payload)
        if flags & PRIORITY_FLAG:
            payload = self._without_priority(stream_id, payload)
        if flags & END_HEADERS:
            return frame_type, flags, stream_id, payload
        self._begun = flags, stream_id
        self._add(payload)
        return None

    def _without_priority(self, stream_id: int, payload: bytes) -> bytes:
        if len(payload) < _PRIORITY_BYTES:
            raise ConnectionViolation(ErrorCode.FRAME_SIZE_ERROR, "HEADERS without its priority")
        if int.from_bytes(payload[:4], "big") & MASK_31 == stream_id:
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")
        return payload[_PRIORITY_BYTES:]

    def _continued(
        self, frame_type: int, flags: int, stream_id: int, payload: bytes
    ) -> Frame | None:
        assert self._begun is not None
        begun_flags, begun_stream = self._begun
        if frame_type != FrameType.CONTINUATION or stream_id != begun_stream:
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted")
        self._add(payload)
        if not flags & END_HEADERS:
            return None
        block = b"".join(self._fragments)
        self._begun, self._held = None, 0
        self._fragments.clear()
        return FrameType.HEADERS, begun_flags | END_HEADERS, stream_id, block

    def _add(self, fragment: bytes) -> None:
        self._fragments.append(fragment)
        self._held += len(fragment)
        if (
            len(self._fragments) > self._limits.max_continuations
            or self._held > self._limits.max_header_block_size
        ):
            raise ConnectionViolation(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end")


def _require_settings(buffer: bytes) -> None:
    """RFC 9113 section 3.4: the rest of the client's preface."""
    if buffer[3] != FrameType.SETTINGS or buffer[4] & ACK:
        raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
