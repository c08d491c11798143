"""Last uses of large action results."""

from __future__ import annotations

import tracemalloc

from tests.storage.test_index import IndexTestCase, key


class LargeResultTests(IndexTestCase):
    VALUE = bytes(4) + b"x" * (1 << 20)

    def setUp(self) -> None:
        super().setUp()
        with self.index.write() as txn:
            txn.put_action(key(1, 0), self.VALUE)

    def renew(self, last_used: int) -> None:
        with self.index.write() as txn:
            txn.renew(key(1, 0), last_used)

    def last_use(self) -> int:
        ((_, used),) = self.index.neighbours(key(1, 0), 1)
        return used

    def test_renew(self) -> None:
        """The last use of a large result is noted, and never goes back, without writing it anew."""
        self.renew(7)
        self.renew(6)
        self.assertEqual(self.last_use(), 7)
        self.assertEqual(self.index.action(key(1, 0)), self.VALUE)
        self.close()
        self.open()
        self.assertEqual(self.last_use(), 7)

    def test_nothing_is_copied(self) -> None:
        """To tell and to note the last use of a large result, none of it is copied."""
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.renew(7)
        self.last_use()
        self.assertLess(tracemalloc.get_traced_memory()[1], len(self.VALUE) // 4)

    def test_gone(self) -> None:
        """What was noted of a result goes with it, whether another one takes its place or none."""
        self.renew(7)
        with self.index.write() as txn:
            txn.put_action(key(1, 0), b"\5\0\0\0....")
        with self.index.write() as txn:
            txn.put_action(key(1, 0), self.VALUE)
        self.assertEqual(self.last_use(), 0)
        self.renew(8)
        with self.index.write() as txn:
            self.assertEqual(txn.drop_action(key(1, 0)), len(self.VALUE))
            txn.put_action(key(1, 0), self.VALUE)
        self.assertEqual(self.last_use(), 0)
