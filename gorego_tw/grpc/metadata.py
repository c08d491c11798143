"""What a call's request headers say: timeout, encoding, binary metadata."""

from __future__ import annotations

import binascii
from base64 import b64decode

from gorego_tw.errors import InvalidArgument

#: The units of ``grpc-timeout`` in seconds (PROTOCOL-HTTP2.md, TimeoutUnit).
_UNITS = {
    ord("H"): 3600.0,
    ord("M"): 60.0,
    ord("S"): 1.0,
    ord("m"): 1e-3,
    ord("u"): 1e-6,
    ord("n"): 1e-9,
}

#: At most eight digits, says the same page; more would also overflow a timer.
_MAX_DIGITS = 8


def parse_timeout(value: bytes) -> float:
    """The seconds that a ``grpc-timeout`` of ``value`` gives.

    :raises InvalidArgument: not one to eight digits and a unit.
    """
    digits, unit = value[:-1], _UNITS.get(value[-1]) if value else None
    if unit is None or not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise InvalidArgument(
            f"grpc-timeout {value[:20].decode('latin-1')!r}; "
            "it is one to eight digits and a unit of H, M, S, m, u or n"
        )
    return int(digits) * unit


def decode_binary(value: bytes) -> bytes | None:
    """The bytes behind the value of a ``-bin`` header: base64, padded or not; None if malformed."""
    try:
        return b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
