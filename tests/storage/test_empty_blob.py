"""The empty blob."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.empty_blob import EmptyBlob
from gorego_tw.storage.memory import MemoryBlobs
from tests.storage.contract import EmptyBlobContract
from tests.storage.tiers import TierTestCase


class EmptyBlobOverMemoryTests(EmptyBlobContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.store = EmptyBlob(MemoryBlobs())


class EmptyBlobOverLocalTests(EmptyBlobContract, TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = EmptyBlob(self.tier.blobs)
