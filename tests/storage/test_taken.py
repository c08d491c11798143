"""Tests of gorego_tw.storage.taken."""

from __future__ import annotations

from gorego_tw.errors import Unavailable
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.local import action_key
from gorego_tw.storage.taken import taken_bytes
from tests.storage.tiers import TierTestCase, blob


class TakenTests(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        # Free pages of the index count, too, and belong to no entry.
        self.tier.index._most_excess_bytes = 0
        self.taken = taken_bytes(self.tier.index)

    def test_absent(self) -> None:
        """What is not there takes nothing that could be told."""
        self.assertIsNone(self.taken(blob(10)[0].key))
        self.assertIsNone(self.taken(action_key(ActionKey("", blob(10)[0]))))

    def test_trouble(self) -> None:
        """Nor can it be told of an index that does not answer."""

        def fail(_: bytes) -> None:
            raise Unavailable("index")

        self.patch(self.tier.index, "blob", fail)
        self.assertIsNone(self.taken(blob(10)[0].key))

    def check_sum(self, size_bytes: int, count: int) -> None:
        """That many blobs take about what the tier counts for them."""
        before = self.tier.space.used_bytes
        keys = [self.put(size_bytes, number)[0].key for number in range(count)]
        self.tier.index._unmeasured = 1000
        counted = self.tier.space.used_bytes - before
        told = sum(self.taken(key) or 0 for key in keys)
        self.assertTrue(0.8 * counted < told < 1.25 * counted, (size_bytes, told, counted))

    def test_blobs(self) -> None:
        """Of many blobs it is what the tier counts, or nearly, in files and in the index."""
        for size_bytes in (50, 700, 1900, 3000, 4080, 5000):
            self.check_sum(size_bytes, 400)

    def test_action_results(self) -> None:
        """Of action results too."""
        before = self.tier.space.used_bytes
        keys = [ActionKey("", blob(8, number)[0]) for number in range(400)]
        for key in keys:
            result = StoredActionResult(bytes(500), (blob(9)[0],) * 3)
            self.successResultOf(self.tier.action_results.put(key, result))
        self.tier.index._unmeasured = 1000
        counted = self.tier.space.used_bytes - before
        told = sum(self.taken(action_key(key)) or 0 for key in keys)
        self.assertTrue(0.8 * counted < told < 1.25 * counted, (told, counted))
