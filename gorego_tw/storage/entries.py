"""The entries of the index one after the other, a page at a time."""

from __future__ import annotations

from itertools import islice
from typing import Any

import lmdb

from gorego_tw.storage.environment import Environment
from gorego_tw.storage.records import ACTIONS

#: How many entries a page has, and after how many bytes of their values it ends: reading it takes a
#: millisecond, and no transaction lasts longer.
PAGE_ENTRIES = 500
PAGE_BYTES = 1 << 20


class Entries:
    """What the index has, in the order of its keys. What changes between two pages may be seen or not.

    :param environment: of the index.
    :raises Unavailable: by every method, if LMDB fails.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def blobs(self, after: bytes = b"") -> list[tuple[bytes, bytes]]:
        """The next blobs after that key: keys and packed records. None are left if it is empty."""
        return self._page(self._environment.blobs, after or bytes([ACTIONS]))

    def action_results(self, after: bytes = b"") -> list[tuple[bytes, bytes]]:
        """The next action results after that key: keys and packed values."""
        return self._page(self._environment.actions, after)

    def is_pending(self, key: bytes) -> bool:
        """Whether that entry has still to be uploaded."""
        return self._get(self._environment.pending, key) is not None

    def record(self, key: bytes) -> bytes | None:
        """The packed record of a blob, None if it is absent."""
        return self._get(self._environment.blobs, key)

    def _get(self, database: Any, key: bytes) -> bytes | None:
        try:
            with self._environment.begin(database) as txn:
                value: bytes | None = txn.get(key)
        except lmdb.Error as error:
            raise self._environment.trouble(error) from error
        return value

    def _page(self, database: Any, after: bytes) -> list[tuple[bytes, bytes]]:
        try:
            with self._environment.begin(database) as txn:
                cursor = txn.cursor()
                # No key is between one and itself with a zero byte behind it.
                there = cursor.set_range(after + b"\0") if after else cursor.first()
                return _beginning(cursor) if there else []
        except lmdb.Error as error:
            raise self._environment.trouble(error) from error


def _beginning(cursor: lmdb.Cursor[bytes]) -> list[tuple[bytes, bytes]]:
    """The entries from there on that are in one page."""
    page, size_bytes = [], 0
    for key, value in islice(cursor.iternext(), PAGE_ENTRIES):
        page.append((key, value))
        size_bytes += len(value)
        if size_bytes >= PAGE_BYTES:
            break
    return page
