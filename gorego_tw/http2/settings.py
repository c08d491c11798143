"""SETTINGS (RFC 9113 section 6.5): identifiers, and which values are allowed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from struct import Struct

from gorego_tw.http2.errors import ConnectionViolation, ErrorCode
from gorego_tw.http2.windows import MAX_WINDOW

_SETTING = Struct(">HI")

DEFAULT_WINDOW = 65_535
DEFAULT_FRAME_SIZE = 16_384
MAX_FRAME_SIZE = 2**24 - 1


class Setting(IntEnum):
    """The identifiers this server knows; others are ignored."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


def parse(payload: bytes) -> dict[int, int]:
    """The settings in ``payload``; the last value of each counts.

    :raises ConnectionViolation: a length that is not of whole settings, or a value out of range.
    """
    if len(payload) % _SETTING.size:
        raise ConnectionViolation(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of incomplete entries")
    settings: dict[int, int] = {}
    for identifier, value in _SETTING.iter_unpack(payload):
        _check(identifier, value)
        settings[identifier] = value
    return settings


def encode(settings: Mapping[int, int]) -> bytes:
    """The payload of a SETTINGS frame."""
    return b"".join(_SETTING.pack(*item) for item in settings.items())


def _check(identifier: int, value: int) -> None:
    if identifier == Setting.ENABLE_PUSH and value > 1:
        raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH {value}; it is 0 or 1")
    if identifier == Setting.INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
        raise ConnectionViolation(
            ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {value}; at most {MAX_WINDOW}"
        )
    if identifier == Setting.MAX_FRAME_SIZE and not DEFAULT_FRAME_SIZE <= value <= MAX_FRAME_SIZE:
        raise ConnectionViolation(
            ErrorCode.PROTOCOL_ERROR,
            f"MAX_FRAME_SIZE {value}; it is {DEFAULT_FRAME_SIZE} to {MAX_FRAME_SIZE}",
        )
