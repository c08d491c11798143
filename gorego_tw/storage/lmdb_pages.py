"""The form of LMDB's file: its pages as they are on the disk (lmdb.h and mdb.c of 0.9), read without LMDB.

LMDB trusts its file: a file that is too short, or a page that is not what the tree says, ends the
process (SIGBUS, SIGSEGV, an assertion). So whoever is not sure of a file looks at it first with what is
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from operator import le
from struct import Struct, error
from typing import NamedTuple

#: What the two meta pages are at most, in bytes: LMDB's largest page twice.
HEAD_BYTES = 2 * 32768

_MAGIC = 0xBEEFC0DE
_VERSION = 1

BRANCH = 0x01
LEAF = 0x02
OVERFLOW = 0x04
META = 0x08

_BIG_DATA = 0x01
_SUB_DATA = 0x02

#: Header of every page, in bytes.
PAGE_HEAD_BYTES = 16

#: The first page that is no meta page.
FIRST_PAGE = 2

#: A page that is none: the root of an empty tree.
NO_PAGE = 0xFFFF_FFFF_FFFF_FFFF

#: Number, pad, flags; then where the free part begins and ends, or how many pages there are.
_PAGE = Struct("<QHHHH")
_PAGES = Struct("<QHHI")
#: A node: low and high half of the size of its data, flags, size of its key.
_NODE = Struct("<HHHH")
_NUMBER = Struct("<Q")

#: Of the number of a page, in a list of free ones.
NUMBER_BYTES = _NUMBER.size
_TWO_NUMBERS = Struct("<QQ")
#: A tree: pad (of the first one: the page size), flags, depth, pages of three kinds, entries, root.
_TREE = Struct("<IHHQQQQQ")
#: After the header of a meta page: magic number, version, address, size of the map; two trees; the
#: last page, the transaction.
_META = Struct("<II16x48s48sQQ")


class DamagedPage(Exception):
    """Bytes that LMDB has not written, at least not there."""


class MetaPage(NamedTuple):
    """What one of the two meta pages says: where the trees are as of one transaction."""

    page_bytes: int
    root: int
    free_root: int
    last_page: int
    transaction: int

    @property
    def slot(self) -> int:
        """Which of the two pages it belongs to."""
        return self.transaction & 1


class Child(NamedTuple):
    """A page below another one: its number, and the key that it begins with, if that is known."""

    page: int
    first: bytes | None


class Node(NamedTuple):
    """An entry of a leaf: its key, and the page that its value, or the tree it stands for, begins at."""

    key: bytes
    overflow: int | None
    overflow_bytes: int
    root: int | None


class Value(NamedTuple):
    """An entry of a leaf with its value: here, or at the beginning of the page of that number."""

    key: bytes
    data: bytes
    page: int | None
    size_bytes: int


class FreeList(NamedTuple):
    """What one commit has freed: the transaction; the number of pages, then each page's, packed, or a
    part of that; and the page that it begins at, if it has pages of its own, and its size in bytes.
    """

    transaction: int
    packed: bytes
    overflow: int | None
    size_bytes: int


def unpack_meta(page: bytes) -> MetaPage:
    """The meta page that ``page`` begins with.

    :raises DamagedPage: there is none.
    """
    try:
        _, _, flags, _, _ = _PAGE.unpack_from(page)
        magic, version, free, main, last_page, transaction = _META.unpack_from(page, _PAGE.size)
    except error:
        raise DamagedPage("too short for a meta page") from None
    if magic != _MAGIC or version != _VERSION or not flags & META:
        raise DamagedPage("no meta page of LMDB")
    page_bytes, *_, free_root = _TREE.unpack(free)
    *_, root = _TREE.unpack(main)
    if page_bytes not in (4096, 8192, 16384, 32768, 65536):
        raise DamagedPage(f"pages of {page_bytes} bytes")
    return MetaPage(page_bytes, root, free_root, last_page, transaction)


def newest_meta(head: bytes) -> tuple[MetaPage, bytes]:
    """The meta page that LMDB goes by, with its bytes, from the first two pages of a file.

    :raises DamagedPage: one of the two is none.
    """
    first = unpack_meta(head)
    size = first.page_bytes
    second = unpack_meta(head[size:])
    if first.transaction >= second.transaction:
        return first, head[:size]
    return second, head[size : 2 * size]


def two_metas(page: bytes) -> bytes:
    """The first two pages of a file that is as it was when ``page`` was its newest meta page.

    LMDB goes by the page with the higher transaction. The other one says the same of an earlier one.
    """
    meta = unpack_meta(page)
    pages = []
    for slot in (0, 1):
        copy = bytearray(page)
        _NUMBER.pack_into(copy, 0, slot)
        if slot != meta.slot:
            at = _PAGE.size + _META.size - _NUMBER.size
            _NUMBER.pack_into(copy, at, max(meta.transaction - 1, 0))
        pages.append(bytes(copy))
    return b"".join(pages)


def kind_of(page: bytes, number: int) -> int:
    """Whether it is a BRANCH, a LEAF or an OVERFLOW page.

    :raises DamagedPage: it is none of them, or the page of another number.
    """
    try:
        found, _, flags, _, _ = _PAGE.unpack_from(page)
    except error:
        raise DamagedPage(f"page {number}: beyond the end of the file") from None
    kind = flags & (BRANCH | LEAF | OVERFLOW | META)
    if found != number or kind not in (BRANCH, LEAF, OVERFLOW):
        raise DamagedPage(f"page {number}: something else is in its place")
    return int(kind)


def overflow_pages(page: bytes) -> int:
    """How many pages the value takes that begins in this one."""
    return int(_PAGES.unpack_from(page)[3])


def children(page: bytes, number: int) -> list[Child]:
    """The pages below a branch page.

    :raises DamagedPage: it is not as LMDB makes them.
    """
    found: list[Child] = []
    taken = 0
    for at in _nodes(page, number):
        low, high, top, key_bytes = _NODE.unpack_from(page, at)
        taken += _even(_NODE.size + key_bytes)
        key = page[at + _NODE.size : at + _NODE.size + key_bytes]
        # The first key of a branch page means nothing: everything below the second is there.
        found.append(Child(low | high << 16 | top << 32, key if found else None))
    _check_taken(page, number, taken)
    return found


def nodes(page: bytes, number: int) -> list[Node]:
    """The entries of a leaf page.

    :raises DamagedPage: it is not as LMDB makes them.
    """
    found = []
    taken = 0
    for at in _nodes(page, number):
        low, high, flags, key_bytes = _NODE.unpack_from(page, at)
        begin = at + _NODE.size + key_bytes
        size = low | high << 16
        overflow = root = None
        end = begin + (_NUMBER.size if flags & _BIG_DATA else size)
        taken += _even(end - at)
        if end > len(page):
            raise DamagedPage(f"page {number}: a value reaches beyond it")
        if flags & _BIG_DATA:
            overflow = _NUMBER.unpack_from(page, begin)[0]
        elif flags & _SUB_DATA and size == _TREE.size:
            root = _TREE.unpack_from(page, begin)[7]
        key = page[at + _NODE.size : begin]
        found.append(Node(key, overflow, size if overflow is not None else 0, root))
    _check_taken(page, number, taken)
    return found


def values(page: bytes, number: int) -> Iterator[Value]:
    """Entries of what may be a leaf page, damaged or not: all that are not beyond its end.

    Nothing says that they are what they seem. Of a page that does not begin like a leaf there are none.
    """
    with suppress(DamagedPage):
        if kind_of(page, number) == LEAF:
            lower = min(_PAGE.unpack_from(page)[3], len(page))
            count = max(0, (lower - _PAGE.size) // 2)
            for at in Struct(f"<{count}H").unpack_from(page, _PAGE.size):
                if lower <= at <= len(page) - _NODE.size:
                    yield from _value(page, at)


def _value(page: bytes, at: int) -> Iterator[Value]:
    low, high, flags, key_bytes = _NODE.unpack_from(page, at)
    begin, size = at + _NODE.size + key_bytes, low | high << 16
    key = page[at + _NODE.size : begin]
    if flags & _BIG_DATA and begin + _NUMBER.size <= len(page):
        yield Value(key, b"", int(_NUMBER.unpack_from(page, begin)[0]), size)
    elif not flags & (_BIG_DATA | _SUB_DATA) and begin + size <= len(page):
        yield Value(key, page[begin : begin + size], None, size)


def free_lists(page: bytes, number: int) -> Iterator[FreeList]:
    """The entries of a leaf page of the tree of free pages, the latest first.

    :raises DamagedPage: it is not as LMDB makes them.
    """
    for at in reversed(_nodes(page, number)):
        low, high, flags, key_bytes = _NODE.unpack_from(page, at)
        begin = at + _NODE.size + _NUMBER.size
        size = low | high << 16
        end = begin + (_NUMBER.size if flags & _BIG_DATA else size)
        if key_bytes != _NUMBER.size or size < _NUMBER.size or end > len(page):
            raise DamagedPage(f"page {number}: no list of free pages")
        transaction, first = _TWO_NUMBERS.unpack_from(page, at + _NODE.size)
        yield FreeList(transaction, page[begin:end], first if flags & _BIG_DATA else None, size)


def free_numbers(packed: bytes) -> tuple[int, ...]:
    """The pages of a list of free ones, all of which is in ``packed``: the highest first.

    :raises DamagedPage: it is not as LMDB makes them.
    """
    (count,) = _NUMBER.unpack_from(packed)
    if count > len(packed) // _NUMBER.size - 1:
        raise DamagedPage("a list of free pages is too short")
    numbers: tuple[int, ...] = Struct(f"<{count}Q").unpack_from(packed, _NUMBER.size)
    if any(
        map(le, numbers, islice(numbers, 1, None))
    ):  # hundreds of thousands after much was taken out
        raise DamagedPage("a list of free pages is not in order")
    return numbers


def _nodes(page: bytes, number: int) -> tuple[int, ...]:
    """Where the nodes of a page are in it."""
    _, _, _, lower, upper = _PAGE.unpack_from(page)
    count = (lower - _PAGE.size) // 2
    if lower % 2 or not _PAGE.size < lower <= upper <= len(page):
        raise DamagedPage(f"page {number}: its free part is nowhere")
    places: tuple[int, ...] = Struct(f"<{count}H").unpack_from(page, _PAGE.size)
    if min(places) < upper or max(places) > len(page) - _NODE.size:
        raise DamagedPage(f"page {number}: a node is outside of it")
    return places


def _even(size: int) -> int:
    return size + size % 2


def _check_taken(page: bytes, number: int, taken: int) -> None:
    """LMDB leaves no gaps between nodes. One that says that it is longer than it is would be written over
    what follows it.

    :param taken: what all of them say that they take, in bytes.
    """
    upper: int = _PAGE.unpack_from(page)[4]
    if taken != len(page) - upper:
        raise DamagedPage(f"page {number}: its nodes take {taken} bytes of {len(page) - upper}")
