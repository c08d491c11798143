"""A request's header list, checked once per block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from gorego_tw.http2.header_rules import (
    Field,
    Kind,
    MalformedHeaders,
    check_request,
    content_length,
    reason_of,
)
from gorego_tw.http2.header_table import Entry
from gorego_tw.http2.huffman import CodedValue

# A member of an enumeration takes longer to find than all else that is done with most fields.
_PSEUDO = Kind.PSEUDO

#: A field, whose value may not be decoded yet.
RawField: TypeAlias = tuple[bytes, bytes | CodedValue]


class Headers:
    """The fields of one header block, in order, pseudo-headers apart.

    One object stands for every block of the same bytes that a connection receives with its table
    unchanged, so whoever derives something from it may keep that in ``memo``.
    """

    __slots__ = (
        "_regular",
        "authority",
        "content_length",
        "is_request",
        "malformed",
        "memo",
        "method",
        "path",
        "scheme",
    )

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.method = self.scheme = self.path = self.authority = b""
        self.content_length: int | None = None
        #: Whether there are pseudo-headers; trailers have none.
        self.is_request = False
        #: Why this is neither a request nor trailers, None if it is one of them.
        self.malformed: str | None = None
        self.memo: object | None = None
        self._regular: list[RawField] = []
        try:
            pseudo = self._sort(entries)
            if pseudo:
                check_request(pseudo)
        except MalformedHeaders as error:
            self.malformed = str(error)
            return
        if pseudo:
            self.is_request = True
            self.method, self.path = pseudo[b":method"], pseudo[b":path"]
            self.scheme = pseudo[b":scheme"]
            self.authority = pseudo.get(b":authority", b"")

    def _sort(self, entries: Iterable[Entry]) -> dict[bytes, bytes]:
        """Fill the regular fields, and return the others."""
        pseudo: dict[bytes, bytes] = {}
        regular = self._regular
        for field, kind, _ in entries:
            if kind == _PSEUDO:
                name, value = field
                if regular:
                    raise MalformedHeaders("a pseudo-header after a regular field")
                if name in pseudo:
                    raise MalformedHeaders("a pseudo-header twice")
                pseudo[name] = value
            elif not kind:
                regular.append(field)
            elif kind == Kind.CODED:
                regular.append((field[0], CodedValue(field[1])))
            elif kind == Kind.CONTENT_LENGTH:
                self.content_length = content_length(field[1], self.content_length)
                regular.append(field)
            else:
                raise MalformedHeaders(reason_of(kind))
        return pseudo

    def get(self, name: bytes) -> bytes | None:
        """The value of the first regular field called ``name``, None if it is absent or malformed."""
        for its_name, value in self._regular:
            if its_name == name:
                return value if isinstance(value, bytes) else value.decoded()
        return None

    def has_any(self, names: frozenset[bytes]) -> bool:
        """Whether there is a regular field with one of those names."""
        return not names.isdisjoint([name for name, _ in self._regular])

    def get_all(self, name: bytes) -> list[bytes]:
        """The values of all regular fields called ``name``."""
        return [value for its_name, value in self.items() if its_name == name]

    def items(self) -> Iterator[Field]:
        """The regular fields, in order, without those whose values cannot be decoded."""
        for name, raw in self._regular:
            value = raw if isinstance(raw, bytes) else raw.decoded()
            if value is not None:
                yield name, value
