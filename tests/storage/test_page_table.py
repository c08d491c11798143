"""Filling the page table for the index."""

from __future__ import annotations

import os
import re
from pathlib import Path

from twisted.application.service import IService
from zope.interface.verify import verifyObject

from gorego_tw.storage.disk_threads import DiskThreads, HeldDiskThreads, NoDiskThreads
from gorego_tw.storage.index_write import IndexWrite
from gorego_tw.storage.page_table import PageTable
from gorego_tw.storage.records import INLINE, BlobRecord
from tests.storage.tiers import TierTestCase, blob

BLOBS = 2000


def mapped_bytes(file: Path) -> int:
    """For how much of the file this process has entries (proc(5), smaps)."""
    text = Path("/proc/self/smaps").read_text()
    match = re.search(rf"{re.escape(str(file.resolve()))}\n(?:.*\n)*?Rss: +(\d+) kB", text)
    assert match is not None
    return int(match[1]) * 1024


class PageTableTests(TierTestCase):
    def setUp(self) -> None:
        """An index of some megabytes, just opened."""
        super().setUp()
        with self.tier.index.write() as txn:
            for number in range(BLOBS):
                self.put_small(txn, number)
        self.reopen()
        self.file = self.folder / "index" / "data.mdb"
        self.before = mapped_bytes(self.file)

    def put_small(self, txn: IndexWrite, number: int) -> None:
        """A blob of nearly a page."""
        digest, data = blob(3000, number)
        txn.put_blob(digest.key, BlobRecord(0, INLINE, len(data), 0), data)

    def start(self, threads: DiskThreads) -> PageTable:
        """The service, started."""
        table = PageTable(self.file, threads)
        self.addCleanup(table.stopService)
        table.startService()
        return table

    def test_interface(self) -> None:
        """It is a service."""
        verifyObject(IService, PageTable(self.file, NoDiskThreads()))

    def test_all_that_is_in_memory(self) -> None:
        """All pages of the file that are in memory have entries afterwards."""
        table = self.start(NoDiskThreads())
        self.assertGreater(table.filled_bytes, BLOBS * 3000)
        self.assertGreater(mapped_bytes(self.file), 0.9 * self.file.stat().st_size)
        self.assertLess(self.before, 0.5 * self.file.stat().st_size)

    def test_nothing_is_read(self) -> None:
        """What is on the disk alone stays there."""
        fd = os.open(self.file, os.O_RDWR)
        self.addCleanup(os.close, fd)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        table = self.start(NoDiskThreads())
        self.assertLess(table.filled_bytes, 0.5 * self.file.stat().st_size)

    def test_no_file(self) -> None:
        """Where the index is not, nothing is done."""
        table = PageTable(self.folder / "none", NoDiskThreads())
        table.startService()
        self.assertEqual(table.filled_bytes, 0)
        self.assertIsNone(self.successResultOf(table.stopService()))

    def test_stop(self) -> None:
        """Who stops it waits for the thread, and no more is filled then."""
        threads = HeldDiskThreads()
        table = self.start(threads)
        stopped = table.stopService()
        self.assertNoResult(stopped)
        threads.release()
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(table.filled_bytes, 0)

    def test_closed_meanwhile(self) -> None:
        """With the index closed a thread that is still at it does no harm."""
        threads = HeldDiskThreads()
        table = self.start(threads)
        threads.held.pop(0)()
        self.close_tier(self.tier)
        threads.release()
        self.assertIsNone(self.successResultOf(table.stopService()))
