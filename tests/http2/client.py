"""Frames as a client sends them, byte by byte our own choice."""

from __future__ import annotations

from gorego_tw.http2 import hpack
from gorego_tw.http2.connection import ServerConnection
from gorego_tw.http2.events import Event
from gorego_tw.http2.frame_buffer import FrameBuffer
from gorego_tw.http2.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PREFACE,
    FrameType,
    frame,
)
from gorego_tw.http2.limits import Limits

REQUEST = hpack.encode(
    (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/a/B"),
        (b":authority", b"here"),
        (b"te", b"trailers"),
    )
)
TRAILERS = hpack.encode(((b"checksum", b"1"),))
HEAD = hpack.encode(((b":status", b"200"),))
START = PREFACE + frame(FrameType.SETTINGS, 0, 0, b"")
SETTINGS_ACK = frame(FrameType.SETTINGS, ACK, 0, b"")


def headers(stream_id: int, block: bytes = REQUEST, *, end: bool = False) -> bytes:
    """A whole header block."""
    flags = END_HEADERS | (END_STREAM if end else 0)
    return frame(FrameType.HEADERS, flags, stream_id, block)


def data(stream_id: int, payload: bytes = b"x", *, end: bool = False) -> bytes:
    """DATA."""
    return frame(FrameType.DATA, END_STREAM if end else 0, stream_id, payload)


def reset(stream_id: int, code: int = 8) -> bytes:
    """RST_STREAM."""
    return frame(FrameType.RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def window_update(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE."""
    return frame(FrameType.WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def settings(**values: int) -> bytes:
    """SETTINGS: ``_4=1`` sets identifier 4 to 1."""
    pairs = ((int(name[1:]), value) for name, value in values.items())
    payload = b"".join(i.to_bytes(2, "big") + v.to_bytes(4, "big") for i, v in pairs)
    return frame(FrameType.SETTINGS, 0, 0, payload)


def started(limits: Limits | None = None) -> ServerConnection:
    """A connection whose client has sent preface and SETTINGS."""
    connection = ServerConnection(limits)
    connection.receive(START + SETTINGS_ACK)
    connection.bytes_to_send()
    return connection


def sent(connection: ServerConnection) -> list[tuple[int, int, int, bytes]]:
    """The frames the server has queued: type, flags, stream, payload."""
    buffer = FrameBuffer(Limits(max_frame_size=1 << 20))
    list(buffer.frames(START))
    return list(buffer.frames(connection.bytes_to_send()))


def types(events: list[Event]) -> list[str]:
    """The names of events."""
    return [type(event).__name__ for event in events]
