"""HPACK (RFC 7541): header blocks from and to bytes."""

from __future__ import annotations

from collections.abc import Iterable

from gorego_tw.http2 import huffman
from gorego_tw.http2.header_table import ENTRY_OVERHEAD, STATIC_FIELDS, DynamicTable, Field
from gorego_tw.http2.headers import Headers

#: Blocks whose meaning is remembered, until the dynamic table changes. A client repeats a handful.
_MAX_BLOCKS = 256

_STATIC_COUNT = len(STATIC_FIELDS)
_STATIC_INDEX: dict[Field, int] = {}
_STATIC_NAME_INDEX: dict[bytes, int] = {}
for _number, _field in enumerate(STATIC_FIELDS, 1):
    _STATIC_INDEX.setdefault(_field, _number)
    _STATIC_NAME_INDEX.setdefault(_field[0], _number)


class CompressionError(ValueError):
    """Bytes that are no header block: the whole connection cannot go on (RFC 9113 section 4.3)."""


class HeaderListTooLarge(ValueError):
    """A header list beyond the limit. The dynamic table is up to date all the same."""


class Decoder:
    """Decodes the blocks of one connection, in order.

    :param max_list_size: the largest list, in bytes as RFC 9113 section 6.5.2 counts them.
    """

    __slots__ = ("_known", "_max_list_size", "_table")

    def __init__(self, max_list_size: int = 65_536) -> None:
        self._max_list_size = max_list_size
        self._table = DynamicTable()
        self._known: dict[bytes, Headers] = {}

    def decode(self, block: bytes) -> Headers:
        """The header list of ``block``; the same object for the same bytes where that is right.

        :raises CompressionError: it is none.
        :raises HeaderListTooLarge: it is larger than allowed.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        try:
            fields, unchanged = self._fields(block)
        except (IndexError, huffman.HuffmanError, ValueError) as error:
            raise CompressionError(f"header block: {error}") from None
        if sum(len(n) + len(v) + ENTRY_OVERHEAD for n, v in fields) > self._max_list_size:
            raise HeaderListTooLarge(f"a header list of more than {self._max_list_size} bytes")
        headers = Headers(fields)
        if not unchanged:
            self._known.clear()
        elif len(self._known) < _MAX_BLOCKS:
            self._known[block] = headers
        return headers

    def _fields(self, block: bytes) -> tuple[list[Field], bool]:
        fields: list[Field] = []
        at, end, unchanged = 0, len(block), True
        while at < end:
            first = block[at]
            if first >= 0x81 and first != 0xFF:  # indexed, in one byte
                fields.append(self._indexed(first & 0x7F))
                at += 1
            elif first >= 0x80:
                index, at = _integer(block, at, 0x7F)
                fields.append(self._indexed(index))
            elif first >= 0x40:  # literal, to be added to the table
                field, at = self._literal(block, at, 0x3F)
                self._table.add(field)
                fields.append(field)
                unchanged = False
            elif first >= 0x20:
                if fields:
                    raise ValueError("a table size update after a field")
                size, at = _integer(block, at, 0x1F)
                self._table.resize(size)
                unchanged = False
            else:  # literal, not to be added
                field, at = self._literal(block, at, 0x0F)
                fields.append(field)
        return fields, unchanged

    def _indexed(self, index: int) -> Field:
        if index <= _STATIC_COUNT:
            if index == 0:
                raise ValueError("index 0")
            return STATIC_FIELDS[index - 1]
        return self._table[index - _STATIC_COUNT - 1]

    def _literal(self, block: bytes, at: int, mask: int) -> tuple[Field, int]:
        index, at = _integer(block, at, mask)
        if index:
            name = self._indexed(index)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return (name, value), at


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """RFC 7541 section 5.1: the number at ``at`` and where the next thing begins."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    for shift in range(0, 28, 7):  # more than 2**28 is nothing a block of ours can mean
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("an integer that does not end")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """RFC 7541 section 5.2: the string at ``at`` and where the next thing begins."""
    coded = block[at] & 0x80
    length, at = _integer(block, at, 0x7F)
    end = at + length
    if end > len(block):
        raise ValueError("a string that is longer than the block")
    data = block[at:end]
    return (huffman.decode(data) if coded else data), end


def encode(fields: Iterable[Field]) -> bytes:
    """A block of ``fields`` that means the same whatever a peer's table holds.

    Nothing is added to the table, so that blocks can be made once and sent on any connection.
    """
    block = bytearray()
    for field in fields:
        index = _STATIC_INDEX.get(field)
        if index is not None:
            block += _encoded_integer(index, 0x7F, 0x80)
            continue
        name, value = field
        name_index = _STATIC_NAME_INDEX.get(name, 0)
        block += _encoded_integer(name_index, 0x0F, 0x00)
        if not name_index:
            block += _encoded_integer(len(name), 0x7F, 0x00) + name
        block += _encoded_integer(len(value), 0x7F, 0x00) + value
    return bytes(block)


def _encoded_integer(value: int, mask: int, flags: int) -> bytes:
    if value < mask:
        return bytes((flags | value,))
    out = bytearray((flags | mask,))
    value -= mask
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
