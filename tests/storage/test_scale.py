"""What must not grow with the number of entries."""

from __future__ import annotations

import sys
import tracemalloc
from types import FrameType

from gorego_tw.digest import DigestFunction
from gorego_tw.storage import index_opening
from gorego_tw.storage.records import INLINE, BlobRecord
from tests.storage.tiers import TierTestCase

FEW = 10
MANY = 20_000

#: What differs from run to run, whatever is stored: caches of the interpreter.
SLACK_BYTES = 64 * 1024


class OpeningTest(TierTestCase):
    """A tier with few entries, and one with many."""

    def fill(self, count: int) -> None:
        """Put so many blobs into the index, in one transaction."""
        kind = bytes([DigestFunction.SHA256])
        with self.tier.index.write() as txn:
            for number in range(count):
                key = kind + number.to_bytes(32, "big")
                txn.put_blob(key, BlobRecord(1, INLINE, 1, 0), b"x")

    def calls_to_open(self) -> int:
        """How many functions are called while the tier is opened, those in C among them."""
        count = 0

        def called(_frame: FrameType, event: str, _argument: object) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        self.close_tier(self.tier)
        before = sys.getprofile()
        sys.setprofile(called)
        try:
            self.open_tier()
        finally:
            sys.setprofile(before)
        return count

    def bytes_to_open(self) -> int:
        """How much memory an open tier takes, in bytes."""
        self.close_tier(self.tier)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            self.open_tier()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return after - before

    def test_does_the_same_whatever_is_stored(self) -> None:
        """No entry is looked at when a tier is opened, but for the look at some pages of the index, which
        takes the same short time whatever there is.
        """
        self.patch(index_opening, "LOOK_SECONDS", 0.0)
        self.fill(FEW)
        self.calls_to_open()
        few = self.calls_to_open()
        self.fill(MANY)
        # A few are the garbage collector's, whenever it likes.
        self.assertLess(self.calls_to_open() - few, MANY // 100)

    def test_takes_no_memory_for_an_entry(self) -> None:
        """An open tier holds nothing for each entry."""
        self.fill(FEW)
        few = self.bytes_to_open()
        self.fill(MANY)
        self.assertLess(self.bytes_to_open() - few, SLACK_BYTES)
