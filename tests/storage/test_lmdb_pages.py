"""LMDB's pages, read from files that LMDB has written."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import lmdb
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.lmdb_pages import (
    LEAF,
    DamagedPage,
    Value,
    children,
    kind_of,
    newest_meta,
    nodes,
    two_metas,
    unpack_meta,
    values,
)


class PagesTestCase(SynchronousTestCase):
    """Has an environment with one entry for each of its commits."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.environment = lmdb.open(str(self.path), max_dbs=2, sync=False)
        self.addCleanup(self.environment.close)
        for number in range(10):
            self.commit(number)

    def commit(self, number: int) -> None:
        with self.environment.begin(write=True) as txn:
            txn.put(b"key %d" % number, b"value")

    @property
    def file(self) -> bytes:
        return (self.path / "data.mdb").read_bytes()


class MetaTests(PagesTestCase):
    def test_as_lmdb_says(self) -> None:
        """The newest of the two has the numbers that LMDB says, after any number of commits."""
        for number in range(3):
            self.commit(number)
            meta, page = newest_meta(self.file)
            info = self.environment.info()
            self.assertEqual(meta.transaction, info["last_txnid"])
            self.assertEqual(meta.last_page, info["last_pgno"])
            self.assertEqual(len(page), self.environment.stat()["psize"])
            self.assertEqual(unpack_meta(page), meta)

    def test_back_in_time(self) -> None:
        """A file whose metas are those of an earlier time is as it was then, for LMDB too."""
        with self.environment.begin():  # keeps the pages
            meta, page = newest_meta(self.file)
            for number in range(10, 20):
                self.commit(number)
            damaged = two_metas(page) + self.file[2 * len(page) :]
        self.environment.close()
        (self.path / "data.mdb").write_bytes(damaged)
        with lmdb.open(str(self.path)) as environment, environment.begin() as txn:
            self.assertEqual(txn.stat()["entries"], 10)
            self.assertEqual(environment.info()["last_txnid"], meta.transaction)

    def test_something_else(self) -> None:
        """What is no meta page, or only a part of one, is said to be none."""
        page = self.file[:4096]
        wrong = [b"", page[:100], bytes(4096), b"x" * 4096, page[:16] + b"x" + page[17:]]
        for bytes_ in wrong:
            self.assertRaises(DamagedPage, unpack_meta, bytes_)
            self.assertRaises(DamagedPage, newest_meta, page + bytes_)
        self.assertRaises(DamagedPage, unpack_meta, page[:40] + b"\1" + page[41:])


class NodeTests(PagesTestCase):
    def root(self) -> tuple[bytes, int]:
        meta, page = newest_meta(self.file)
        return self.file[meta.root * len(page) :][: len(page)], meta.root

    def test_leaf(self) -> None:
        """The keys of a leaf are those that were put."""
        page, number = self.root()
        self.assertEqual(kind_of(page, number), LEAF)
        self.assertEqual([node.key for node in nodes(page, number)][3], b"key 3")

    def test_branch(self) -> None:
        """The pages below a branch page begin with the keys that it says."""
        for number in range(1000):
            self.commit(number)
        page, number = self.root()
        below = children(page, number)
        self.assertIsNone(below[0].first)
        for child in below[1:]:
            leaf = self.file[child.page * len(page) :][: len(page)]
            self.assertGreaterEqual(nodes(leaf, child.page)[0].key, child.first or b"")

    def test_length_of_a_value(self) -> None:
        """A node that says that it is longer or shorter than it is, by as little as LMDB would notice, is
        found out before LMDB moves its neighbours by that.
        """
        page, number = self.root()
        places = struct.unpack_from("<10H", page, 16)
        for at in places:
            for length in (2, 8, 64):
                wrong = bytearray(page)
                wrong[at] = length  # of the value, of 5 bytes
                self.assertRaises(DamagedPage, nodes, bytes(wrong), number)

    def test_length_of_a_key(self) -> None:
        """The same is true of a branch page, whose nodes are keys alone."""
        for number in range(1000):
            self.commit(number)
        page, number = self.root()
        for place in range(1, len(children(page, number))):
            (at,) = struct.unpack_from("<H", page, 16 + 2 * place)
            wrong = bytearray(page)
            wrong[at + 6] += 2
            self.assertRaises(DamagedPage, children, bytes(wrong), number)

    def test_any_bytes(self) -> None:
        """Whatever is in a page, reading it ends in entries or in DamagedPage."""
        page, number = self.root()
        random = Random(3)
        damaged = 0
        for _ in range(3000):
            wrong = bytearray(page)
            for _ in range(random.randrange(1, 4)):
                wrong[random.randrange(200)] = random.randrange(256)
            for read in (kind_of, nodes, children):
                try:
                    read(bytes(wrong), number)
                except DamagedPage:
                    damaged += 1
        self.assertGreater(damaged, 1000)


class ValueTests(SynchronousTestCase):
    """What a page gives to who has to take it as it is."""

    def setUp(self) -> None:
        path = Path(self.mktemp())
        with lmdb.open(str(path)) as environment:
            self.size = environment.stat()["psize"]
            with environment.begin(write=True) as txn:
                for number in range(5):
                    txn.put(b"key %d" % number, b"value %d" % number)
                txn.put(b"large", b"x" * self.size)
        data = (path / "data.mdb").read_bytes()
        self.number = newest_meta(data)[0].root
        self.page = data[self.number * self.size :][: self.size]

    def test_all(self) -> None:
        """Of a whole page every entry, with the page that a large value begins at."""
        found = list(values(self.page, self.number))
        self.assertEqual(
            [(value.key, value.data) for value in found[:5]],
            [(b"key %d" % number, b"value %d" % number) for number in range(5)],
        )
        (node,) = (node for node in nodes(self.page, self.number) if node.overflow is not None)
        self.assertEqual(found[5], Value(b"large", b"", node.overflow, self.size))
        self.assertEqual(len(found), 6)

    def test_other_pages(self) -> None:
        """Of what is no leaf, of another number, or too short, there is nothing."""
        for page, number in (
            (self.page, self.number + 1),
            (bytes(self.size), 0),
            (self.page[:10], self.number),
            (b"", 0),
        ):
            self.assertEqual(list(values(page, number)), [])

    def test_damaged_in_any_way(self) -> None:
        """Whatever bytes are other ones, all that is found is within the page."""
        random = Random(5)
        for _ in range(2000):
            page = bytearray(self.page)
            for _ in range(random.randint(1, 20)):
                page[random.randrange(8, len(page))] = random.randrange(256)
            for value in values(bytes(page), self.number):
                self.assertLessEqual(len(value.key) + len(value.data), len(page))
                self.assertEqual(len(value.data), 0 if value.page is not None else value.size_bytes)
