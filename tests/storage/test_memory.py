"""The stores in memory are as good as those on disk."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.memory import MemoryActionResults, MemoryBlobs, MemoryUploads
from tests.storage.contract import ActionResultsContract, BlobAccessContract, UploadsContract


class MemoryBlobsTests(BlobAccessContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryBlobs()


class MemoryActionResultsTests(ActionResultsContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.results = MemoryActionResults()


class MemoryUploadsTests(UploadsContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryBlobs()
        self.uploads = MemoryUploads(self.store)
