"""The pages of the index's file that no tree has: LMDB lists them, those that each commit freed by themselves.

It takes pages for a new commit from the lists of commits that came before the oldest moment that any
reader looks at. Those in the lists since then wait for that reader to go.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct, error

from gorego_tw.storage.lmdb_pages import (
    BRANCH,
    NO_PAGE,
    DamagedPage,
    FreeList,
    children,
    free_lists,
    kind_of,
    newest_meta,
)

_NUMBER = Struct("<Q")

#: What stands before a value that has pages of its own, in bytes.
_HEADER_BYTES = 16


class FreePages:
    """Reads the lists, as of the last commit. No write may be under way meanwhile.

    Every method fails with ``DamagedPage`` if the file is not as LMDB makes them, and with ``OSError``
    if it cannot be read.

    :param path: of the file.
    :param page_bytes: the size of its pages, in bytes.
    """

    def __init__(self, path: Path, page_bytes: int) -> None:
        self.page_bytes = page_bytes
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._since = self._counted = -1
        self._count = 0

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def freed_since(self, transaction: int) -> int:
        """How many pages later commits have freed, while a reader stays at that one.

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

    def _newest_first(self) -> Iterator[FreeList]:
        meta, _ = newest_meta(os.pread(self._fd, 2 * self.page_bytes, 0))
        waiting = [] if meta.free_root == NO_PAGE else [meta.free_root]
        while waiting:
            number = waiting.pop()
            page = os.pread(self._fd, self.page_bytes, number * self.page_bytes)
            if kind_of(page, number) == BRANCH:
                waiting += [child.page for child in children(page, number)]
            else:
                yield from free_lists(page, number)

    def _number(self, found: FreeList) -> int:
        packed = found.packed
        if found.overflow is not None:
            start = found.overflow * self.page_bytes + _HEADER_BYTES
            packed = os.pread(self._fd, _NUMBER.size, start)
        try:
            (count,) = _NUMBER.unpack_from(packed)
        except error:
            raise DamagedPage(f"page {found.overflow}: no list of free pages") from None
        return int(count)
