"""Which header lists are malformed (RFC 9113 sections 8.2 and 8.3)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TypeAlias

#: A header field: name and value.
Field: TypeAlias = tuple[bytes, bytes]


class MalformedHeaders(ValueError):
    """A header list that no request may have: a stream error of type PROTOCOL_ERROR."""


class Kind(IntEnum):
    """What one field is, by itself. Most are regular, so that is what is false."""

    REGULAR = 0
    PSEUDO = 1
    CONTENT_LENGTH = 2
    CODED = 3  # regular, with a value in Huffman code that nobody may ever ask for
    NO_NAME = 4  # not a name, or one with upper case
    UNKNOWN_PSEUDO = 5
    CONNECTION_SPECIFIC = 6
    NOT_TRAILERS = 7  # a te that is not "trailers"
    NO_VALUE = 8  # a line end or NUL in the value


#: Why a list with a field of such a kind is malformed.
_REASONS = {
    Kind.NO_NAME: "a field name with characters that are not allowed",
    Kind.UNKNOWN_PSEUDO: "an unknown pseudo-header",
    Kind.CONNECTION_SPECIFIC: "a field that belongs to HTTP/1",
    Kind.NOT_TRAILERS: "te is not trailers",
    Kind.NO_VALUE: "a value with a line end or NUL",
}
_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_CONNECTION_SPECIFIC = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
# RFC 9110 section 5.6.2, without upper case.
_NAME_CHARACTERS = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")

_NUL, _LF, _CR = b"\0\n\r"

#: Names whose kind is remembered, and how long they may be: 128 KiB at most. No client has as many.
_MAX_NAMES = 1000
_MAX_NAME_BYTES = 128
_kinds: dict[bytes, Kind] = {}

#: Content lengths have fewer digits than this; 10^18 bytes are an exabyte.
_MAX_DIGITS = 18


def kind_of(name: bytes, value: bytes) -> Kind:
    """What a field is; only the order of fields is judged elsewhere."""
    kind = _kinds.get(name)
    if kind is None:
        kind = _kind_of_name(name)
        if len(name) <= _MAX_NAME_BYTES:
            if len(_kinds) >= _MAX_NAMES:
                _kinds.clear()
            _kinds[name] = kind
    if _LF in value or _CR in value or _NUL in value:
        return Kind.NO_VALUE
    if name == b"te" and value != b"trailers":
        return Kind.NOT_TRAILERS
    return kind


def reason_of(kind: Kind) -> str:
    """What is wrong with a field of a kind that no list may have."""
    return _REASONS[kind]


def _kind_of_name(name: bytes) -> Kind:
    if name.startswith(b":"):
        return Kind.PSEUDO if name in _PSEUDO else Kind.UNKNOWN_PSEUDO
    if not name or not _NAME_CHARACTERS.issuperset(name):
        return Kind.NO_NAME
    if name in _CONNECTION_SPECIFIC:
        return Kind.CONNECTION_SPECIFIC
    return Kind.CONTENT_LENGTH if name == b"content-length" else Kind.REGULAR


def check_request(pseudo: Mapping[bytes, bytes]) -> None:
    """Whether the pseudo-headers are a request's (RFC 9113 section 8.3.1).

    :raises MalformedHeaders: one is missing or empty.
    """
    for name in (b":method", b":scheme", b":path"):
        if not pseudo.get(name):
            raise MalformedHeaders(f"no {name.decode()}")


def content_length(value: bytes, known: int | None) -> int:
    """The bytes that a content-length announces; ``known`` is what another one has said.

    :raises MalformedHeaders: it is no number, too large a one, or not the same (RFC 9110 section 8.6).
    """
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise MalformedHeaders("content-length is not a number of bytes")
    length = int(value)
    if known is not None and length != known:
        raise MalformedHeaders("two content-lengths")
    return length
