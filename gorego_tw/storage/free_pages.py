"""The pages of the index's file that no tree has: LMDB lists them, those that each commit freed by themselves.

It takes pages for a new commit from the lists of commits that came before the oldest moment that any
reader looks at. Those in the lists since then wait for that reader to go.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from gorego_tw.storage.lmdb_pages import (
    BRANCH,
    NO_PAGE,
    PAGE_HEAD_BYTES,
    DamagedPage,
    FreeList,
    children,
    free_lists,
    kind_of,
    newest_meta,
)

_NUMBER = Struct("<Q")

#: How many pages are told of at once.
MOST_PAGES = 1024

#: A commit that comes after all others.
_NEVER = 1 << 64


class FreedPages(NamedTuple):
    """Pages that a commit has freed."""

    transaction: int
    pages: tuple[int, ...]


class FreePages:
    """Reads the lists.

    Every method fails with ``DamagedPage`` if the file is not as LMDB makes them, and with ``OSError``
    if it cannot be read.

    :param path: of the file.
    :param page_bytes: the size of its pages, in bytes.
    """

    def __init__(self, path: Path, page_bytes: int) -> None:
        self.page_bytes = page_bytes
        self._file = path.open("rb", buffering=0)
        self._since = self._counted = -1
        self._count = 0

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def freed_since(self, transaction: int) -> int:
        """How many pages later commits have freed, while a reader stays at that one. No write may be
        under way.

        Each list is looked at once, however often this is asked for.
        """
        if transaction != self._since:
            self._since = self._counted = transaction
            self._count = 0
        newest, count = self._counted, self._count
        for found in self._newest_first():
            if found.transaction <= self._counted:
                break
            newest = max(newest, found.transaction)
            count += self._number(found)
        self._counted, self._count = newest, count
        return count

    def latest(self, before: int, skip: int = 0) -> FreedPages | None:
        """What the latest commit has freed of those that came before that one, and that have freed
        anything: up to MOST_PAGES, after the first ``skip``. No write may be under way.
        """
        for found in self._newest_first(before):
            if found.transaction < before:
                return FreedPages(found.transaction, self._pages(found, skip))
        return None

    def _newest_first(self, before: int = _NEVER) -> Iterator[FreeList]:
        """All lists, without those of pages that have none of commits before that one."""
        meta, _ = newest_meta(os.pread(self._file.fileno(), 2 * self.page_bytes, 0))
        waiting = [] if meta.free_root == NO_PAGE else [meta.free_root]
        while waiting:
            number = waiting.pop()
            page = os.pread(self._file.fileno(), self.page_bytes, number * self.page_bytes)
            if kind_of(page, number) == BRANCH:
                waiting += [
                    child.page
                    for child in children(page, number)
                    if child.first is None or int.from_bytes(child.first, "little") < before
                ]
            else:
                yield from free_lists(page, number)

    def _number(self, found: FreeList) -> int:
        (count,) = _NUMBER.unpack(self._part(found, 0, 1))
        return int(count)

    def _pages(self, found: FreeList, skip: int) -> tuple[int, ...]:
        count = max(0, min(self._number(found) - skip, MOST_PAGES))
        pages: tuple[int, ...] = Struct(f"<{count}Q").unpack(self._part(found, 1 + skip, count))
        return pages

    def _part(self, found: FreeList, first: int, count: int) -> bytes:
        """Some of its numbers, packed."""
        start, size = first * _NUMBER.size, count * _NUMBER.size
        if found.overflow is None:
            packed = found.packed[start : start + size]
        else:
            start += found.overflow * self.page_bytes + PAGE_HEAD_BYTES
            packed = os.pread(self._file.fileno(), size, start)
        if len(packed) < size:
            raise DamagedPage("a list of free pages is too short")
        return packed
