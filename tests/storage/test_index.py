"""The index: lookups, neighbours, tallies, and what LMDB says when it fails."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import lmdb
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import Digest
from gorego_tw.errors import ResourceExhausted, Unavailable
from gorego_tw.storage import environment
from gorego_tw.storage.environment import Environment, IndexDamaged
from gorego_tw.storage.index import Index
from gorego_tw.storage.records import (
    FILE,
    INLINE,
    BlobRecord,
    DamagedRecord,
    Tally,
    pack_tally,
    unpack_blob,
)
from tests.storage.test_local import failing


def key(number: int, kind: int = 1) -> bytes:
    return bytes([kind]) + number.to_bytes(32, "big")


class IndexTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.open()
        self.addCleanup(self.close)

    def close(self) -> None:
        self.environment.close()

    def open(self) -> None:
        self.environment = Environment(self.path, 1 << 30)
        self.index = Index(self.environment)


class LookupTests(IndexTestCase):
    def test_blobs(self) -> None:
        """A record is found as it was put, with the bytes that were put with it."""
        small, large = BlobRecord(1, INLINE, 3, 0), BlobRecord(2, FILE, 9999, 7)
        with self.index.write() as txn:
            txn.put_blob(key(1), small, b"abc")
            txn.put_blob(key(2), large)
        self.assertEqual(self.index.blob(key(1)), (small, b"abc"))
        self.assertEqual(self.index.blob(key(2)), (large, None))
        self.assertIsNone(self.index.blob(key(3)))
        found = [
            value and unpack_blob(key(2), value) for value in self.index.blobs([key(2), key(3)])
        ]
        self.assertEqual(found, [large, None])

    def test_drop(self) -> None:
        """What was taken out is gone, and was what it was."""
        record = BlobRecord(1, INLINE, 3, 0)
        with self.index.write() as txn:
            txn.put_blob(key(1), record, b"abc")
            txn.put_action(key(1, 0), b"12345678")
        with self.index.write() as txn:
            self.assertEqual(txn.drop_blob(key(1)), record)
            self.assertIsNone(txn.drop_blob(key(1)))
            self.assertEqual(txn.drop_action(key(1, 0)), 8)
            self.assertIsNone(txn.drop_action(key(1, 0)))
        self.assertIsNone(self.index.blob(key(1)))
        self.assertIsNone(self.index.action(key(1, 0)))

    def test_all_or_nothing(self) -> None:
        """A transaction in which anything fails has not happened."""

        def change() -> None:
            with self.index.write() as txn:
                txn.put_action(key(1, 0), b"12345678")
                raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, change)
        self.assertIsNone(self.index.action(key(1, 0)))
        self.assertEqual(dict(self.index.tallies), {})

    def test_unreadable_record(self) -> None:
        """What is no record is told so, and can be taken out."""
        for record in (b"?", b"\0" * 25):
            with self.index.write() as write:
                write.put_blob(key(1), BlobRecord(10, FILE, 5000, 7))
            with self.environment.begin(write=True) as txn:
                txn.put(key(1), record, db=self.environment.blobs)
            self.assertRaises(DamagedRecord, self.index.blob, key(1))
            self.assertEqual(self.index.neighbours(key(1), 2), [(key(1), 0)])
            with self.index.write() as write:
                write.drop_blob(key(1), lambda _: BlobRecord(0, FILE, 4097, 0))
            self.assertIsNone(self.index.blob(key(1)))
            self.assertEqual(self.index.tallies[1], (0, 0))

    def test_guess_beyond_the_tally(self) -> None:
        """What is guessed of a record that cannot be read may be more than was counted, and is no damage
        of what was counted.
        """
        met: list[str] = []
        self.environment.damage.met = met.append
        with self.index.write() as write:
            write.put_blob(key(1), BlobRecord(10, FILE, 5000, 7))
        with self.environment.begin(write=True) as txn:
            txn.put(key(1), b"?", db=self.environment.blobs)
        with self.index.write() as write:
            write.drop_blob(key(1), lambda _: BlobRecord(0, FILE, 1_000_000, 0))
        self.assertEqual((self.index.tallies[1], met), ((0, 0), []))

    def test_key_of_no_kind(self) -> None:
        """An entry whose key is damaged is taken out, and counted nowhere."""
        with self.environment.begin(write=True) as txn:
            txn.put(key(1, 129), b"?", db=self.environment.blobs)
        self.assertRaises(DamagedRecord, self.index.blob, key(1, 129))
        with self.index.write() as write:
            write.drop_blob(key(1, 129))
        self.assertEqual(dict(self.index.tallies), {})

    def test_more_taken_out_than_there_was(self) -> None:
        """A tally that is wrong by that is damage of the index, and nothing is changed."""
        with self.index.write() as write:
            write.put_blob(key(1), BlobRecord(10, FILE, 5000, 7))
        with self.environment.begin(write=True) as txn:
            txn.put(b"tally:\1", pack_tally(Tally(1, 4096)), db=self.environment.meta)
        met: list[str] = []
        self.environment.damage.met = met.append

        def take_out() -> None:
            with self.index.write() as write:
                write.drop_blob(key(1))

        self.assertRaises(Unavailable, take_out)
        self.assertEqual(len(met), 1)
        self.assertIsNotNone(self.index.blob(key(1)))

    def test_damaged_tallies(self) -> None:
        """An index whose tallies are not as they were written is not opened."""
        self.environment.close()
        for wrong in (b"", bytes(15), bytes(20), b"\2" + pack_tally(Tally(1, 2))[1:]):
            self.open()
            with self.environment.begin(write=True) as txn:
                txn.put(b"tally:\1", wrong, db=self.environment.meta)
            self.environment.close()
            self.assertRaises(IndexDamaged, Environment, self.path, 1 << 30)
            shutil.rmtree(self.path)
            self.path.mkdir()
        self.open()

    def test_renew(self) -> None:
        """A last use is noted where there is an entry, and never goes back."""
        with self.index.write() as txn:
            txn.put_blob(key(1), BlobRecord(10, FILE, 9999, 7))
            txn.put_action(key(1, 0), b"12345678")
        with self.index.write() as txn:
            txn.renew(key(1), 5)
            txn.renew(key(1, 0), 2**31)
            txn.renew(key(2), 5)
        self.assertEqual(self.index.neighbours(key(1), 2), [(key(1), 10)])
        self.assertEqual(self.index.neighbours(key(1, 0), 2), [(key(1, 0), 2**31)])

    def test_renewed_blobs(self) -> None:
        """A blob is told of that was used since it was put, or in the same second; nothing else is."""
        with self.index.write() as txn:
            txn.put_blob(key(1), BlobRecord(10, FILE, 9999, 7))
            txn.put_action(key(1, 0), b"12345678")
        with self.index.write() as txn:
            told = [txn.renew(key(1), used) for used in (9, 10, 11, 10)]
            others = [txn.renew(key(1, 0), 2**31), txn.renew(key(2), 20)]
        self.assertEqual(told, [None, Digest(key(1), 9999), Digest(key(1), 9999), None])
        self.assertEqual(others, [None, None])


class NeighbourTests(IndexTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.index.write() as txn:
            for number in range(10):
                for kind in (1, 9):
                    txn.put_blob(key(number, kind), BlobRecord(number, FILE, 1, 0))
            txn.put_action(key(3, 0), b"\1\0\0\0....")

    def test_from_a_key_on(self) -> None:
        """They are the next ones in the order of the keys, with their last uses."""
        expected = [(key(number), number) for number in (4, 5, 6)]
        self.assertEqual(self.index.neighbours(key(4), 3), expected)

    def test_around_the_end(self) -> None:
        """After the last of a kind comes its first."""
        expected = [(key(number), number) for number in (8, 9, 0, 1)]
        self.assertEqual(self.index.neighbours(key(8), 4), expected)
        nines = self.index.neighbours(b"\x09\xff", 2)
        self.assertEqual(nines, [(key(0, 9), 0), (key(1, 9), 1)])

    def test_fewer(self) -> None:
        """Where there are fewer, each is named once."""
        found = [key_ for key_, _ in self.index.neighbours(key(4), 50)]
        self.assertEqual(sorted(found), [key(number) for number in range(10)])
        self.assertEqual(self.index.neighbours(key(9, 0), 5), [(key(3, 0), 1)])
        self.assertEqual(self.index.neighbours(key(9, 5), 5), [])


class SizeTests(IndexTestCase):
    def test_tallies(self) -> None:
        """Entries and the blocks of their files are counted by kind, across restarts."""
        with self.index.write() as txn:
            txn.put_blob(key(1), BlobRecord(1, FILE, 5000, 0))
            txn.put_blob(key(1), BlobRecord(1, FILE, 5000, 1))
            txn.put_blob(key(2, 9), BlobRecord(1, INLINE, 3, 0), b"abc")
            txn.put_action(key(1, 0), b"12345678")
            txn.put_action(key(1, 0), b"87654321")
        expected = {1: (1, 8192), 9: (1, 0), 0: (1, 0)}
        self.assertEqual(dict(self.index.tallies), expected)
        self.environment.close()
        self.open()
        self.assertEqual(dict(self.index.tallies), expected)

    def test_most_files(self) -> None:
        """There are no more files than blobs, nor than blocks of files."""
        with self.index.write() as txn:
            txn.put_action(key(1, 0), b"12345678")
            txn.put_blob(key(1), BlobRecord(1, FILE, 50_000, 0))
        self.assertEqual(self.index.most_files, 1)
        with self.index.write() as txn:
            for number in range(20):
                txn.put_blob(key(2 + number), BlobRecord(1, INLINE, 3, 0), b"abc")
        self.assertEqual(self.index.most_files, 13)

    def test_pages(self) -> None:
        """The pages in use are known at any time, nearly, and shrink again."""
        empty = self.index.page_bytes
        for number in range(1000):
            with self.index.write() as txn:
                txn.put_blob(key(number), BlobRecord(1, INLINE, 4000, 0), b"x" * 4000)
        full = self.index.page_bytes
        self.assertTrue(4_000_000 < full - empty < 4_400_000, full)
        with self.index.write() as txn:
            for number in range(1000):
                txn.drop_blob(key(number))
        self.assertLess(self.index.page_bytes - empty, 100_000)

    def test_free_pages(self) -> None:
        """Free pages count when there are many more than is used again soon, for a part of the limit."""
        self.environment.growth_bytes = 40 << 20
        stored = [self.index.stored_bytes()]
        with self.index.write() as txn:
            for number in range(10_000):
                txn.put_blob(key(number), BlobRecord(1, INLINE, 4000, 0), b"x" * 4000)
        with self.index.write() as txn:
            for number in range(10_000):
                txn.drop_blob(key(number))
        stored.append(self.index.stored_bytes())
        self.environment.growth_bytes = 1 << 20
        self.index = Index(self.environment)
        stored.append(self.index.stored_bytes())
        self.assertLess(stored[1] - stored[0], 200_000)
        self.assertEqual(stored[2] - self.index.page_bytes, (1 << 30) // 64)


class FailureTests(IndexTestCase):
    def test_full(self) -> None:
        """An index without room is a tier without room."""
        self.patch(environment, "_LEAST_MAP_BYTES", 1 << 20)
        path = Path(self.mktemp())
        path.mkdir()
        small = Environment(path, 1)
        self.addCleanup(small.close)
        index = Index(small)
        with self.assertRaises(ResourceExhausted), index.write() as txn:
            txn.put_action(key(1, 0), b"x" * (2 << 20))
        with index.write() as txn:
            txn.put_action(key(1, 0), b"12345678")

    def test_foreign_file(self) -> None:
        """A file that is no index is not taken for one."""
        path = Path(self.mktemp())
        path.mkdir()
        (path / "data.mdb").write_bytes(b"something else" * 1000)
        self.assertRaises(IndexDamaged, Environment, path, 1)

    def test_trouble(self) -> None:
        """Whatever LMDB cannot do, the tier is unavailable."""
        self.environment.close()
        for call in (
            lambda: self.index.blob(key(1)),
            lambda: self.index.blobs([key(1)]),
            lambda: self.index.action(key(1)),
            lambda: self.index.neighbours(key(1), 1),
            lambda: self.index.page_bytes,
            lambda: self.index.latest_use,
            self.environment.sync,
            self.index.write().__enter__,
        ):
            self.assertRaises(Unavailable, call)

    def test_trouble_within(self) -> None:
        """The same while a transaction is under way."""
        with self.assertRaises(Unavailable), self.index.write():
            raise lmdb.Error("broken")

    def test_no_room(self) -> None:
        """LMDB tells of a full disk, a quota that is used up and a limit of files in words alone; what is
        refused for that can be tried again.
        """
        for code, kind in (
            (errno.ENOSPC, ResourceExhausted),
            (errno.EDQUOT, ResourceExhausted),
            (errno.EFBIG, ResourceExhausted),
            (errno.EIO, Unavailable),
        ):
            error = self.assertRaises(kind, self.fail_within, f"mdb_put: {os.strerror(code)}")
            self.assertEqual(len(error.details), kind is ResourceExhausted)

    def test_cut_short(self) -> None:
        """LMDB tells of a write that was cut short as of a disk that fails; the disk is asked which it was."""
        words = f"mdb_txn_commit: {os.strerror(errno.EIO)}"
        self.assertRaises(Unavailable, self.fail_within, words)
        self.patch(os, "pwrite", failing(errno.ENOSPC))
        error = self.assertRaises(ResourceExhausted, self.fail_within, words)
        self.assertEqual(str(error), "local tier: index: No space left on device")
        self.assertEqual(len(error.details), 1)
        self.assertRaises(Unavailable, self.fail_within, "mdb_txn_commit: broken")

    def fail_within(self, words: str) -> None:
        """Let LMDB fail while a transaction is under way."""
        with self.index.write() as txn:
            txn.put_action(key(1), b"kept")
            raise lmdb.Error(words)
