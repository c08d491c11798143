"""The lists of free pages, read from a file that LMDB has written."""

from __future__ import annotations

from pathlib import Path
from random import Random

import lmdb
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.free_pages import FreePages
from gorego_tw.storage.lmdb_pages import DamagedPage


class FreePagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        path = Path(self.mktemp())
        self.environment = lmdb.open(str(path), sync=False, map_size=1 << 30)
        self.addCleanup(self.environment.close)
        self.file = path / "data.mdb"
        self.page_bytes = self.environment.stat()["psize"]
        self.pages = FreePages(self.file, self.page_bytes)
        self.addCleanup(self.pages.close)
        self.random = Random(1)

    @property
    def transaction(self) -> int:
        return self.environment.info()["last_txnid"]

    def commit(self, entries: int = 1) -> None:
        """Put so many at random places."""
        with self.environment.begin(write=True) as txn:
            for _ in range(entries):
                txn.put(b"%d" % self.random.randrange(50_000), b"x" * 100)

    def used(self) -> int:
        """How many pages the tree has."""
        stat = self.environment.stat()
        return stat["branch_pages"] + stat["leaf_pages"]

    def test_growth(self) -> None:
        """While a reader stays, the file grows by as many pages as are freed and as the tree grows by."""
        self.commit(20_000)
        self.commit()
        with self.environment.begin() as reader:
            before, used = self.environment.info()["last_pgno"], self.used()
            for number in range(300):
                self.commit(1 + number % 7)
            freed = self.pages.freed_since(reader.id())
            grown = self.environment.info()["last_pgno"] - before
        self.assertGreater(freed, 1000)
        # Pages that were free before are used, too; the lists have pages of their own.
        self.assertLess(abs(grown - freed - (self.used() - used)), 60)

    def test_asked_for_again(self) -> None:
        """It makes no difference how often it was asked for meanwhile."""
        self.commit(20_000)
        with self.environment.begin() as reader:
            for _ in range(200):
                self.commit(3)
                self.pages.freed_since(reader.id())
            again = FreePages(self.file, self.page_bytes)
            self.addCleanup(again.close)
            asked = [pages.freed_since(reader.id()) for pages in (self.pages, again)]
        self.assertEqual(asked[0], asked[1])

    def test_none(self) -> None:
        """Nothing was freed since the last commit, nor in a new file."""
        self.assertEqual(self.pages.freed_since(0), 0)
        self.commit(1000)
        self.commit(1000)
        self.assertGreater(self.pages.freed_since(0), 0)
        self.assertEqual(self.pages.freed_since(self.transaction), 0)

    def test_large_commit(self) -> None:
        """A list that has pages of its own counts as the others do."""
        self.commit(50_000)
        with self.environment.begin() as reader:
            used = self.used()
            self.commit(50_000)
            self.assertGreater(self.pages.freed_since(reader.id()), used * 0.9)

    def test_other_bytes(self) -> None:
        """A file that is none of LMDB's is told to be damaged."""
        self.commit(1000)
        self.commit(1000)
        with self.file.open("r+b") as file:
            file.truncate(2 * self.page_bytes)
        self.assertRaises(DamagedPage, self.pages.freed_since, 0)
