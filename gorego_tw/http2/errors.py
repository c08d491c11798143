"""What can go wrong on a connection, by whose fault it is."""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """RFC 9113 section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class LocalProtocolError(Exception):
    """Our own fault: something was sent that the state of the stream or its windows forbid."""


class RemoteProtocolError(Exception):
    """The peer's fault. Never raised itself; never leaves this package."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class StreamViolation(RemoteProtocolError):
    """Ends one stream (RFC 9113 section 5.4.2)."""


class ConnectionViolation(RemoteProtocolError):
    """Ends the connection (RFC 9113 section 5.4.1)."""
