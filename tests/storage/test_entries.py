"""The entries of the index, page by page."""

from __future__ import annotations

from gorego_tw.digest import DigestFunction
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage import entries
from gorego_tw.storage.entries import Entries
from gorego_tw.storage.local import action_key
from tests.storage.tiers import TierTestCase, blob, put


class EntriesTests(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(entries, "PAGE_ENTRIES", 3)
        self.entries = Entries(self.tier.environment)

    def test_every_blob_once(self) -> None:
        """Pages follow each other without a gap and without a repetition, over all digest functions."""
        expected = [self.put(10, seed)[0].key for seed in range(10)]
        digest, data = blob(10, 0, DigestFunction.BLAKE3)
        self.successResultOf(put(self.tier.blobs, digest, data))
        seen: list[bytes] = []
        while page := self.entries.blobs(seen[-1] if seen else b""):
            self.assertLessEqual(len(page), 3)
            seen += [key for key, _ in page]
        self.assertEqual(seen, sorted([*expected, digest.key]))

    def test_action_results_are_by_themselves(self) -> None:
        """They are no blobs, and blobs are none of them."""
        digest, _ = self.put(10)
        key = ActionKey("", digest)
        self.successResultOf(self.tier.action_results.put(key, StoredActionResult(b"", ())))
        self.assertEqual([name for name, _ in self.entries.action_results()], [action_key(key)])
        self.assertEqual([name for name, _ in self.entries.blobs()], [digest.key])

    def test_large_values(self) -> None:
        """A page ends after so many bytes, however few entries that are, and has one at least."""
        self.patch(entries, "PAGE_BYTES", 3000)
        for number in range(5):
            key = ActionKey("", blob(10, number)[0])
            result = StoredActionResult(bytes(2000), ())
            self.successResultOf(self.tier.action_results.put(key, result))
        sizes, after = [], b""
        while page := self.entries.action_results(after):
            sizes.append(len(page))
            after = page[-1][0]
        self.assertEqual(sizes, [2, 2, 1])
        self.patch(entries, "PAGE_BYTES", 1)
        self.assertEqual(len(self.entries.action_results()), 1)

    def test_record(self) -> None:
        """A blob that is absent has none."""
        digest, _ = self.put(10)
        self.assertIsNotNone(self.entries.record(digest.key))
        self.assertIsNone(self.entries.record(blob(11)[0].key))
