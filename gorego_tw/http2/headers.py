"""A request's header list, checked once per block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gorego_tw.http2.header_rules import MalformedHeaders, check_fields, check_request
from gorego_tw.http2.header_table import Field


class Headers:
    """The fields of one header block, in order, pseudo-headers apart.

    One object stands for every block of the same bytes that a connection receives with its table
    unchanged, so whoever derives something from it may keep that in ``memo``.
    """

    __slots__ = (
        "_regular",
        "authority",
        "content_length",
        "malformed",
        "memo",
        "method",
        "path",
        "scheme",
    )

    def __init__(self, fields: Sequence[Field]) -> None:
        self.method = self.scheme = self.path = self.authority = b""
        self.content_length: int | None = None
        #: Why this is no request, None if it is one.
        self.malformed: str | None = None
        self.memo: object | None = None
        self._regular: list[Field] = []
        try:
            pseudo, self._regular = check_fields(fields)
            if pseudo:
                check_request(pseudo)
            self.content_length = _content_length(self.get_all(b"content-length"))
        except MalformedHeaders as error:
            self.malformed = str(error)
            return
        self.method = pseudo.get(b":method", b"")
        self.scheme = pseudo.get(b":scheme", b"")
        self.path = pseudo.get(b":path", b"")
        self.authority = pseudo.get(b":authority", b"")

    def get(self, name: bytes) -> bytes | None:
        """The value of the first regular field called ``name``, None if there is none."""
        for field in self._regular:
            if field[0] == name:
                return field[1]
        return None

    def get_all(self, name: bytes) -> list[bytes]:
        """The values of all regular fields called ``name``."""
        return [value for its_name, value in self._regular if its_name == name]

    def items(self) -> Iterator[Field]:
        """The regular fields, in order."""
        return iter(self._regular)

    @property
    def is_request(self) -> bool:
        """Whether there are pseudo-headers; trailers have none."""
        return bool(self.method)


def _content_length(values: list[bytes]) -> int | None:
    if not values:
        return None
    if len(set(values)) > 1 or not values[0].isdigit():
        raise MalformedHeaders("content-length is not one number")
    return int(values[0])
