"""HPACK (RFC 7541): header blocks from and to bytes."""

from __future__ import annotations

from collections.abc import Iterable

from gorego_tw.http2 import huffman
from gorego_tw.http2.header_rules import Field, Kind
from gorego_tw.http2.header_table import (
    ENTRY_OVERHEAD,
    STATIC_ENTRIES,
    STATIC_FIELDS,
    DynamicTable,
    Entry,
    entry_of,
)
from gorego_tw.http2.headers import Headers

#: Blocks whose meaning is remembered until the dynamic table changes, and how long they may be:
#: half a MiB for a connection at most. A client repeats a handful.
_MAX_BLOCKS = 256
_MAX_BLOCK_BYTES = 2048

#: The prefix of literals that are not added to the table, "never indexed" included.
_NOT_INDEXED = 0x0F

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

    __slots__ = ("_max_list_size", "_table", "known")

    def __init__(self, max_list_size: int = 65_536) -> None:
        self._max_list_size = max_list_size
        self._table = DynamicTable()
        #: The blocks seen while the table is as it is; only to be read.
        self.known: dict[bytes, Headers] = {}

    def decode(self, block: bytes) -> Headers:
        """The header list of ``block``; the same object for the same bytes where that is right.

        :raises CompressionError: it is none.
        :raises HeaderListTooLarge: it is larger than allowed.
        """
        known = self.known.get(block)
        if known is not None:
            return known
        try:
            entries, size, unchanged = self._entries(block)
        except (IndexError, ValueError) as error:
            raise CompressionError(f"header block: {error}") from None
        if not unchanged:
            self.known.clear()
        if size > self._max_list_size:
            raise HeaderListTooLarge(f"{size} bytes; at most {self._max_list_size} are allowed")
        headers = Headers(entries)
        if unchanged and len(self.known) < _MAX_BLOCKS and len(block) <= _MAX_BLOCK_BYTES:
            self.known[block] = headers
        return headers

    def fields(self, block: bytes) -> list[Field]:
        """What is in ``block``, of a peer that answers: as it is, for who knows what has to be there.

        :raises CompressionError: it is none.
        :raises HeaderListTooLarge: it is larger than allowed.
        """
        try:
            entries, size, _ = self._entries(block)
            fields = [_decoded(field, kind) for field, kind, _ in entries]
        except (IndexError, ValueError) as error:
            raise CompressionError(f"header block: {error}") from None
        if size > self._max_list_size:
            raise HeaderListTooLarge(f"{size} bytes; at most {self._max_list_size} are allowed")
        return fields

    def _entries(self, block: bytes) -> tuple[list[Entry], int, bool]:
        """What is in ``block``, its size, and whether it left the table unchanged."""
        entries: list[Entry] = []
        at, end, unchanged, size = 0, len(block), True, 0
        table, limit = self._table, self._max_list_size
        dynamic = table.entries
        while at < end:
            first = block[at]
            if first >= 0x80:
                index = first & 0x7F
                if index == 0x7F:
                    index, at = _integer(block, at, 0x7F)
                else:
                    at += 1
                if index > _STATIC_COUNT:
                    entry = dynamic[index - _STATIC_COUNT - 1]
                else:
                    entry = STATIC_ENTRIES[index - 1] if index else _no_entry()
            elif first >= 0x40:  # literal, to be added to the table
                entry, at = self._literal(block, at, 0x3F)
                table.add(entry)
                unchanged = False
            elif first >= 0x20:
                at = self._resized(block, at, first_in_block=not size)
                unchanged = False
                continue
            else:  # literal, not to be added
                entry, at = self._literal(block, at, _NOT_INDEXED)
            size += entry[2]
            # Beyond the limit only the table matters.
            if size <= limit:
                entries.append(entry)
        return entries, size, unchanged

    def _resized(self, block: bytes, at: int, *, first_in_block: bool) -> int:
        if not first_in_block:
            raise ValueError("a table size update after a field")
        size, at = _integer(block, at, 0x1F)
        self._table.resize(size)
        return at

    def _literal(self, block: bytes, at: int, mask: int) -> tuple[Entry, int]:
        index = block[at] & mask
        if index == mask:
            index, at = _integer(block, at, mask)
        else:
            at += 1
        if index:
            entries, index = (
                (STATIC_ENTRIES, index - 1)
                if index <= _STATIC_COUNT
                else (self._table.entries, index - _STATIC_COUNT - 1)
            )
            name = entries[index][0][0]
        else:
            name, coded, at = _string(block, at)
            if coded:
                name = huffman.decode(name)
        value, coded, at = _string(block, at)
        if coded:
            # What enters the table is decoded at once: its size there is that of the decoded value.
            if mask == _NOT_INDEXED and name.endswith(b"-bin"):
                size = len(name) + len(value) + ENTRY_OVERHEAD
                return ((name, value), Kind.CODED, size), at
            value = huffman.decode(value)
        return entry_of(name, value), at


def _decoded(field: Field, kind: Kind) -> Field:
    return (field[0], huffman.decode(field[1])) if kind is Kind.CODED else field


def _no_entry() -> Entry:
    raise ValueError("index 0")


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


def _string(block: bytes, at: int) -> tuple[bytes, bool, int]:
    """RFC 7541 section 5.2: the string at ``at``, whether it is coded, and where the next thing begins."""
    first = block[at]
    length = first & 0x7F
    if length == 0x7F:
        length, at = _integer(block, at, 0x7F)
    else:
        at += 1
    end = at + length
    if end > len(block):
        raise ValueError("a string that is longer than the block")
    return block[at:end], first >= 0x80, end


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
