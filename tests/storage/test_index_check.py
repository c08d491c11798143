"""An index that is damaged in any way is told from a good one before LMDB sees it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random

import lmdb
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.environment import Environment
from gorego_tw.storage.index_check import IndexCheck
from gorego_tw.storage.lmdb_pages import (
    LEAF,
    DamagedPage,
    free_lists,
    free_numbers,
    kind_of,
    newest_meta,
)

PAGE = 4096

#: Where the number of the last page is in a meta page, in bytes: after its head, 24 bytes, and two trees of 48.
LAST_PAGE_AT = 16 + 24 + 2 * 48


class IndexCheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.random = Random(2)
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "data.mdb"
        self.environment = Environment(folder, 1 << 30)
        for _ in range(20):
            self.change()
        self.environment.close()
        self.good = self.path.read_bytes()

    def change(self) -> None:
        """Put and drop entries of all kinds and sizes."""
        environment, random = self.environment, self.random
        with environment.begin(write=True) as txn:
            for _ in range(40):
                key = b"\1" + random.randbytes(32)
                txn.put(key, b"record", db=environment.blobs)
                if random.random() < 0.3:
                    txn.put(key, random.randbytes(4080), db=environment.small)
                if random.random() < 0.2:
                    value = random.randbytes(random.randrange(20_000))
                    txn.put(b"\0" + key[1:], value, db=environment.actions)
            cursor = txn.cursor(db=environment.small)
            if cursor.set_range(b"\1" + random.randbytes(2)):
                cursor.delete()

    def damaged(self, damaged: bytes) -> bool:
        """Whether the check finds something."""
        self.path.write_bytes(damaged)
        try:
            IndexCheck(self.path)
        except DamagedPage as error:
            self.assertTrue(str(error))
            return True
        return False

    def test_good(self) -> None:
        """A file that LMDB has written is good, and so is one with nothing in it yet."""
        self.assertFalse(self.damaged(self.good))
        found = IndexCheck(self.path)
        self.assertEqual(found.names, {b"blobs", b"small", b"actions", b"meta", b"pending"})
        empty = Path(self.mktemp())
        lmdb.open(str(empty)).close()
        self.assertEqual(IndexCheck(empty / "data.mdb").pages, 0)

    def test_truncated(self) -> None:
        """A file of which the end is gone, wherever."""
        last = (newest_meta(self.good)[0].last_page + 1) * PAGE
        for length in (0, 1, 100, PAGE, 2 * PAGE, len(self.good) // 2, last - PAGE, last - 1):
            self.assertTrue(self.damaged(self.good[:length]), length)

    def test_other_files(self) -> None:
        """Garbage, zeros, text."""
        for other in (self.random.randbytes(len(self.good)), bytes(len(self.good)), b"text" * 9999):
            self.assertTrue(self.damaged(other))

    def test_pages_of_the_trees(self) -> None:
        """A page of the trees with something else in it."""
        kinds: list[Callable[[bytes], bytes]] = [
            lambda page: bytes(PAGE),
            lambda page: self.random.randbytes(PAGE),
            lambda page: self.good[: 2 * PAGE][-PAGE:],
            lambda page: page[:8] + bytes(PAGE - 8),
        ]
        for number in self.random.sample(self.used(), 30):
            start = number * PAGE
            page = self.good[start : start + PAGE]
            for wrong in kinds:
                bad = self.good[:start] + wrong(page) + self.good[start + PAGE :]
                self.assertTrue(self.damaged(bad), number)

    def used(self) -> list[int]:
        """The pages that the check looks at: neither free, nor the middle of a value."""
        numbers = []
        read = IndexCheck._read

        def noting(check: IndexCheck, number: int, size: int = 0) -> bytes:
            numbers.append(number)
            return read(check, number, size)

        patch = self.patch(IndexCheck, "_read", noting)
        self.assertFalse(self.damaged(self.good))
        patch.restore()
        self.assertGreater(len(numbers), 30)
        return numbers

    def lists(self) -> list[tuple[int, tuple[int, ...]]]:
        """Where in the file the lists of free pages begin, and the pages in them."""
        found = []
        root = newest_meta(self.good)[0].free_root
        page = self.good[root * PAGE : (root + 1) * PAGE]
        self.assertEqual(kind_of(page, root), LEAF)
        for entry in free_lists(page, root):
            if entry.overflow is None:
                start = self.good.index(entry.packed, root * PAGE)
                found.append((start, free_numbers(entry.packed)))
        self.assertTrue(found)
        return found

    def test_free_pages(self) -> None:
        """A page that is in use, free twice, or not there, in a list of free ones."""
        used, last = self.used(), newest_meta(self.good)[0].last_page
        for start, _ in self.lists():
            elsewhere = next(found for at, found in self.lists() if at != start and found)
            for wrong in (used[-1], elsewhere[0], 1, last + 1, 1 << 63):
                packed = struct.pack("<QQ", 1, wrong)
                bad = self.good[:start] + packed + self.good[start + len(packed) :]
                self.assertTrue(self.damaged(bad), (start, wrong))

    def test_lists_of_free_pages(self) -> None:
        """A list that is longer than its value, or not in order."""
        for start, _ in self.lists():
            for wrong in (struct.pack("<Q", 1 << 40), struct.pack("<QQQ", 2, 5, 5)):
                bad = self.good[:start] + wrong + self.good[start + len(wrong) :]
                self.assertTrue(self.damaged(bad), (start, wrong))

    def test_traffic(self) -> None:
        """Whatever LMDB writes is good: large values, long lists of free pages, readers that stay."""
        folder = Path(self.mktemp())
        folder.mkdir()
        environment = Environment(folder, 1 << 30)
        random, keys, reader = self.random, list[bytes](), None
        for _ in range(60):
            with environment.begin(write=True) as txn:
                for _ in range(random.choice((1, 30, 1000))):
                    if random.random() < 0.6 or not keys:
                        keys.append(b"\1" + random.randbytes(32))
                        txn.put(keys[-1], random.randbytes(21), db=environment.blobs)
                        if random.random() < 0.3:
                            value = random.randbytes(random.choice((4080, 20_000, 200_000)))
                            txn.put(keys[-1], value, db=environment.small)
                    else:
                        key = keys.pop(random.randrange(len(keys)))
                        txn.delete(key, db=environment.blobs)
                        txn.delete(key, db=environment.small)
            if random.random() < 0.2:
                if reader is not None:
                    reader.abort()
                reader = environment.begin() if random.random() < 0.7 else None
            IndexCheck(environment.file)
        if reader is not None:
            reader.abort()
        environment.close()

    def test_last_pages_that_were_never_written(self) -> None:
        """Pages that were taken and let go of in one commit need not be there; all others have to be."""
        folder = Path(self.mktemp())
        folder.mkdir()
        environment = Environment(folder, 1 << 30)
        with environment.begin(write=True) as txn:
            txn.put(b"\1stays", b"record", db=environment.blobs)
            txn.put(b"\1goes", bytes(200_000), db=environment.small)
            txn.delete(b"\1goes", db=environment.small)
        IndexCheck(environment.file)
        meta, _ = newest_meta(environment.head())
        whole = environment.file.read_bytes()
        self.assertLess(len(whole), meta.last_page * PAGE)
        environment.close()
        for pages in range(2, len(whole) // PAGE):
            environment.file.write_bytes(whole[: pages * PAGE])
            self.assertRaises(DamagedPage, IndexCheck, environment.file, 0.0)

    def test_more_pages_than_can_be(self) -> None:
        """A last page that no file of this length can have, be it beyond what memory could note of each."""
        meta = newest_meta(self.good)[0]
        for last_page in (meta.last_page + 1, 1 << 40, (1 << 64) - 1):
            bad = bytearray(self.good)
            struct.pack_into("<Q", bad, meta.slot * PAGE + LAST_PAGE_AT, last_page)
            self.assertTrue(self.damaged(bytes(bad)), last_page)

    def test_swapped(self) -> None:
        """A page of another place, however good it is there."""
        used = self.used()
        for _ in range(20):
            one, other = self.random.sample(used, 2)
            bad = bytearray(self.good)
            bad[one * PAGE : (one + 1) * PAGE] = self.good[other * PAGE : (other + 1) * PAGE]
            self.assertTrue(self.damaged(bytes(bad)))

    def test_time(self) -> None:
        """A short look sees the pages nearest to the roots: of the trees as many, however many pages are free."""
        self.path.write_bytes(self.good)
        seconds = count()
        found = IndexCheck(self.path, 6.0, lambda: float(next(seconds)))
        self.assertEqual(found.pages, 4)
        self.assertGreater(IndexCheck(self.path).pages, 20)
