"""Frames (RFC 9113 sections 4.1 and 6): their types, flags and layout."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

from gorego_tw.http2.errors import ConnectionViolation, ErrorCode

#: What a client sends first (RFC 9113 section 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

#: Length (24 bits, as 16 and 8), type, flags, stream.
HEADER = Struct(">HBBBI")
HEADER_BYTES = HEADER.size

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY_FLAG = 0x20

#: The upper bit of stream numbers, increments and dependencies is reserved.
MASK_31 = 2**31 - 1


class FrameType(IntEnum):
    """RFC 9113 section 6."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


def head(length: int, frame_type: int, flags: int, stream_id: int) -> bytes:
    """The nine bytes before a payload of ``length`` bytes."""
    return HEADER.pack(length >> 8, length & 0xFF, frame_type, flags, stream_id)


def frame(frame_type: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """A whole frame."""
    return head(len(payload), frame_type, flags, stream_id) + payload


def unpadded(payload: bytes) -> bytes:
    """The payload of a DATA or HEADERS frame with the PADDED flag, without its padding.

    :raises ConnectionViolation: the padding is as long as the payload (RFC 9113 section 6.1).
    """
    if not payload or payload[0] >= len(payload):
        raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "padding longer than the payload")
    return payload[1 : len(payload) - payload[0]]


def require_stream(frame_type: FrameType, stream_id: int, *, none: bool = False) -> None:
    """Check that a frame is on a stream, or (``none``) on the connection as a whole.

    :raises ConnectionViolation: it is not where it belongs.
    """
    if (stream_id == 0) != none:
        where = "a stream" if none else "stream 0"
        raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, f"{frame_type.name} on {where}")


def require_length(frame_type: FrameType, payload: bytes, length: int) -> None:
    """Check a frame whose length is fixed.

    :raises ConnectionViolation: it has another.
    """
    if len(payload) != length:
        raise ConnectionViolation(
            ErrorCode.FRAME_SIZE_ERROR,
            f"{frame_type.name} of {len(payload)} bytes; it has {length}",
        )
