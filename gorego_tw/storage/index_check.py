"""Whether a file can be given to LMDB: looked at from outside, for as long as there is time.

The head is always looked at, and the length of the file. The trees are looked at from their roots
down, so that a short look sees all branch pages and some leaves; only a long one sees every page.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from gorego_tw.storage.lmdb_pages import (
    BRANCH,
    FIRST_PAGE,
    HEAD_BYTES,
    LEAF,
    NO_PAGE,
    NUMBER_BYTES,
    OVERFLOW,
    PAGE_HEAD_BYTES,
    DamagedPage,
    children,
    free_lists,
    free_numbers,
    kind_of,
    newest_meta,
    nodes,
    overflow_pages,
)

#: How long each start looks at the trees, in seconds: some 3,000 pages. An index of 10 million blobs
#: has 200,000.
LOOK_SECONDS = 0.1

#: What a page is known to be, other than nothing.
_USED, _FREE = 1, 2


class _Place(NamedTuple):
    """A page that is to be looked at, with the bounds of its keys: numbers in the tree of free pages."""

    page: int
    numbers: bool = False
    first: bytes | None = None
    last: bytes | None = None


class IndexCheck:
    """A look at one file.

    :param seconds: how long it may take.
    :param head: what its first pages would be; None for those that it has.
    :param now: the time, in seconds.
    :ivar pages: how many pages of the trees it has seen.
    :ivar names: the keys in the root of all trees, which are the names of the databases.
    :raises DamagedPage: LMDB must not see it.
    :raises OSError: it cannot be read for another reason than that the disk fails there.
    """

    def __init__(
        self,
        path: Path,
        seconds: float = inf,
        now: Callable[[], float] = monotonic,
        *,
        head: bytes | None = None,
    ) -> None:
        self.pages = 0
        self.names: frozenset[bytes] = frozenset()
        self._marks = bytearray()  # of each page, what it is known to be
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._fd = fd
            self._meta, _ = newest_meta(self._head() if head is None else head)
            self._check_trees(seconds, now)
        finally:
            os.close(fd)

    def _head(self) -> bytes:
        with _as_damage("its first pages"):
            return os.pread(self._fd, HEAD_BYTES, 0)

    def _check_trees(self, seconds: float, now: Callable[[], float]) -> None:
        meta = self._meta
        there, pages = os.fstat(self._fd).st_size // meta.page_bytes, meta.last_page + 1
        # Pages that were taken and let go of in one commit are not written, be they the last ones of the file:
        # all of them are in a list of free pages, of which each is in the file.
        missing = max(0, pages - there)
        if missing > there * (meta.page_bytes // NUMBER_BYTES):
            raise DamagedPage(f"{there} of {pages} pages are there")
        self._marks = bytearray(pages)
        # However long the lists of free pages are, something is seen of the others.
        begun = now()
        half = inf if missing else begun + seconds / 2
        self._walk(_Place(meta.free_root, numbers=True), half, now)
        if self._marks.count(_FREE, there) != missing:
            raise DamagedPage(f"{there} of {pages} pages are there")
        self._walk(_Place(meta.root), max(begun + seconds, now() + seconds / 2), now)

    def _walk(self, root: _Place, end: float, now: Callable[[], float]) -> None:
        waiting = deque([root] if root.page != NO_PAGE else [])
        for place in waiting:
            self._use(range(place.page, place.page + 1))
        while waiting and now() < end:
            for place in self._below(waiting.popleft()):
                self._use(range(place.page, place.page + 1))
                waiting.append(place)

    def _use(self, pages: range) -> None:
        """They are in a tree.

        :param pages: up to the last one of the file.
        """
        marks = self._marks[pages.start : pages.stop]
        if len(marks) < len(pages):
            raise DamagedPage(f"page {pages.start}: beyond the last one")
        if _USED in marks:
            raise DamagedPage(f"page {pages.start}: it is in the trees twice")
        if _FREE in marks:
            raise DamagedPage(f"page {pages.start}: it is in a tree, and free")
        self._marks[pages.start : pages.stop] = bytes((_USED,)) * len(pages)

    def _below(self, place: _Place) -> list[_Place]:
        page = self._read(place.page)
        self.pages += 1
        kind = kind_of(page, place.page)
        if kind == BRANCH:
            return self._branch(place, page)
        if kind == LEAF:
            return self._leaf(place, page)
        raise DamagedPage(f"page {place.page}: a value in the place of a tree")

    def _branch(self, place: _Place, page: bytes) -> list[_Place]:
        found = children(page, place.page)
        if place.page == self._meta.root:
            raise DamagedPage("more databases than are ours")
        inner = [child.first for child in found if child.first is not None]
        _check_keys(place, inner)
        bounds = zip(found, (place.first, *inner), (*inner, place.last), strict=True)
        return [_Place(child.page, place.numbers, first, last) for child, first, last in bounds]

    def _leaf(self, place: _Place, page: bytes) -> list[_Place]:
        found = nodes(page, place.page)
        if place.page == self._meta.root:
            self.names = frozenset(node.key for node in found)
        _check_keys(place, [node.key for node in found])
        for node in found:
            if node.overflow is not None:
                self._check_overflow(node.overflow, node.overflow_bytes)
        if place.numbers:
            self._check_free(page, place.page)
        roots = [node.root for node in found if node.root is not None]
        return [_Place(root) for root in roots if root != NO_PAGE]

    def _check_free(self, page: bytes, number: int) -> None:
        """Free pages are written over: none may be in use, nor be free twice."""
        for entry in free_lists(page, number):
            packed = entry.packed
            if entry.overflow is not None:
                packed = self._read(entry.overflow, PAGE_HEAD_BYTES + entry.size_bytes)
                packed = packed[PAGE_HEAD_BYTES:]
            free = free_numbers(packed)
            if free and not FIRST_PAGE <= free[-1] <= free[0] <= self._meta.last_page:
                raise DamagedPage(f"page {number}: it has a page as free that is none")
            if any(map(self._marks.__getitem__, free)):
                raise DamagedPage(f"page {number}: it has a page as free that is in use")
            for page_number in free:
                self._marks[page_number] = _FREE

    def _check_overflow(self, number: int, size: int) -> None:
        page = self._read(number, PAGE_HEAD_BYTES)
        if kind_of(page, number) != OVERFLOW:
            raise DamagedPage(f"page {number}: no value is in it")
        room = overflow_pages(page) * self._meta.page_bytes - PAGE_HEAD_BYTES
        if room < size or number + overflow_pages(page) - 1 > self._meta.last_page:
            raise DamagedPage(f"page {number}: too short for its value")
        self._use(range(number, number + overflow_pages(page)))

    def _read(self, number: int, size: int = 0) -> bytes:
        if number > self._meta.last_page:
            raise DamagedPage(f"page {number}: beyond the last one")
        size = size or self._meta.page_bytes
        with _as_damage(f"page {number}"):
            return os.pread(self._fd, size, number * self._meta.page_bytes)


@contextmanager
def _as_damage(what: str) -> Iterator[None]:
    """What the disk cannot read is damaged: LMDB would not be told, but ended by SIGBUS."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise DamagedPage(f"{what}: the disk cannot read it") from error


def _check_keys(place: _Place, keys: list[bytes]) -> None:
    bounded = [key for key in (place.first, *keys) if key is not None]
    if place.numbers:  # little-endian
        bounded = [key[::-1] for key in bounded]
    last = place.last[::-1] if place.last and place.numbers else place.last
    # The first key of a page may be the one that it is known by.
    start = 1 if place.first is not None and bounded[:1] == bounded[1:2] else 0
    pairs = zip(bounded[start:], bounded[start + 1 :], strict=False)
    if any(first >= second for first, second in pairs):
        raise DamagedPage(f"page {place.page}: its keys are not in order")
    if last is not None and bounded and bounded[-1] >= last:
        raise DamagedPage(f"page {place.page}: its keys belong elsewhere")
