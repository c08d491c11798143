"""Which header lists are malformed (RFC 9113 section 8.2 and 8.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gorego_tw.http2.header_table import Field


class MalformedHeaders(ValueError):
    """A header list that no request may have: a stream error of type PROTOCOL_ERROR."""


_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_CONNECTION_SPECIFIC = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
# RFC 9110 section 5.6.2, without upper case.
_NAME_CHARACTERS = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")

#: Names found valid. A peer may send any number of new ones, so the memory of them is bounded.
_MAX_NAMES = 1000
_valid_names: set[bytes] = set()


def check_fields(fields: Sequence[Field]) -> tuple[dict[bytes, bytes], list[Field]]:
    """The pseudo-headers and the regular fields of a block.

    :raises MalformedHeaders: a field is not allowed, or not where it is.
    """
    pseudo: dict[bytes, bytes] = {}
    regular: list[Field] = []
    for field in fields:
        name, value = field
        if name in _valid_names:
            if name == b"te" and value != b"trailers":
                raise MalformedHeaders("te is not trailers")
            regular.append(field)
        elif name[:1] == b":":
            if regular:
                raise MalformedHeaders("a pseudo-header after a regular field")
            _add_pseudo(pseudo, name, value)
        else:
            _check_name(name)
            if name == b"te" and value != b"trailers":
                raise MalformedHeaders("te is not trailers")
            regular.append(field)
        if b"\n" in value or b"\r" in value or b"\0" in value:
            raise MalformedHeaders("a value with a line end or NUL")
    return pseudo, regular


def check_request(pseudo: Mapping[bytes, bytes]) -> None:
    """Whether the pseudo-headers are a request's (RFC 9113 section 8.3.1).

    :raises MalformedHeaders: one is missing or empty.
    """
    if not pseudo.get(b":method"):
        raise MalformedHeaders("no :method")
    if not pseudo.get(b":scheme"):
        raise MalformedHeaders("no :scheme")
    if not pseudo.get(b":path"):
        raise MalformedHeaders("no :path")


def _add_pseudo(pseudo: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    if name not in _PSEUDO:
        raise MalformedHeaders("an unknown pseudo-header")
    if name in pseudo:
        raise MalformedHeaders("a pseudo-header twice")
    pseudo[name] = value


def _check_name(name: bytes) -> None:
    if not name or not _NAME_CHARACTERS.issuperset(name):
        raise MalformedHeaders("a field name with characters that are not allowed")
    if name in _CONNECTION_SPECIFIC:
        raise MalformedHeaders(f"{name.decode()} belongs to HTTP/1")
    if len(_valid_names) >= _MAX_NAMES:
        _valid_names.clear()
    _valid_names.add(name)
