"""Tests of gorego_tw.reuse.stores."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from gorego_tw.cache import Cache, reused
from gorego_tw.errors import NotFound
from gorego_tw.interfaces import (
    ActionKey,
    IActionResults,
    IBlobAccess,
    IUpload,
    IUploads,
    StoredActionResult,
)
from gorego_tw.reuse.sketch import Sketch, capacities
from gorego_tw.reuse.stores import told
from gorego_tw.storage.local import action_key
from gorego_tw.storage.taken import taken_bytes
from tests.storage.tiers import LIMIT_BYTES, TierTestCase, blob, put, read


class ReusedTests(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        tier = self.tier
        self.sketch = Sketch(capacities(LIMIT_BYTES), taken_bytes(tier.index), 1.0)
        tier.last_use.observers.append(self.sketch.use)
        self.cache = reused(Cache(tier.blobs, tier.action_results, tier.uploads), self.sketch)

    def order(self) -> list[bytes]:
        """What the sketch knows, the oldest first."""
        return [key for key, _ in self.sketch.samples()]

    def test_interfaces(self) -> None:
        """They are stores, and uploads."""
        verifyObject(IBlobAccess, self.cache.blobs)
        verifyObject(IActionResults, self.cache.action_results)
        verifyObject(IUploads, self.cache.uploads)
        digest, _ = blob(100_000)
        upload = self.successResultOf(self.cache.uploads.open("name", digest))
        verifyObject(IUpload, upload)
        self.successResultOf(upload.abandon())

    def test_remembered(self) -> None:
        """What is answered without the store is a use as well; what is not is left to the store."""
        key, other = ActionKey("name", blob(7)[0]), ActionKey("name", blob(8)[0])
        result = StoredActionResult(b"", ())
        self.successResultOf(self.cache.action_results.put(key, result))
        self.successResultOf(self.cache.action_results.put(other, result))
        recall = told({key: result}.get, self.sketch)
        self.assertEqual((recall(key), recall(other)), (result, None))
        self.assertEqual(self.order(), [action_key(other), action_key(key)])
        self.assertEqual(self.sketch.actions.lookups, 1)

    def test_blobs(self) -> None:
        """Lookups are counted and blobs that are stored are known, with what they take."""
        first, second = blob(5000, 1), blob(5000, 2)
        self.successResultOf(put(self.cache.blobs, *first))
        self.successResultOf(put(self.cache.blobs, *second))
        self.assertEqual(self.order(), [first[0].key, second[0].key])
        self.assertEqual(self.successResultOf(read(self.cache.blobs, first[0])), first[1])
        self.failureResultOf(self.cache.blobs.get(blob(1)[0]), NotFound)
        self.assertEqual(self.order(), [second[0].key, first[0].key])
        asked = [second[0], blob(2)[0]]
        missing = self.successResultOf(self.cache.blobs.find_missing(asked))
        self.assertEqual(missing, asked[1:])
        self.assertEqual(self.sketch.blobs.lookups, 4)
        self.assertEqual(self.sketch.blobs.hit_ratios(), [0.5] * 4)
        self.assertGreater(self.sketch.samples()[0][1].taken_bytes, 8192)

    def test_action_results(self) -> None:
        """So are action results; what they refer to is known when its use is written."""
        output, data = blob(5000)
        self.successResultOf(put(self.cache.blobs, output, data))
        key = ActionKey("name", blob(7)[0])
        self.failureResultOf(self.cache.action_results.get(key), NotFound)
        self.successResultOf(self.cache.action_results.put(key, StoredActionResult(b"", (output,))))
        self.assertEqual(self.order(), [output.key, action_key(key)])
        self.successResultOf(self.cache.action_results.get(key))
        self.assertEqual(self.sketch.actions.hit_ratios(), [0.5] * 4)
        self.successResultOf(self.tier.blobs.find_missing((output,)))
        self.tier.last_use.flush_slice()
        self.assertEqual(self.order(), [action_key(key), output.key])

    def test_uploads(self) -> None:
        """What is uploaded is known when it is whole."""
        digest, data = blob(100_000)
        upload = self.successResultOf(self.cache.uploads.open("name", digest))
        self.successResultOf(upload.write(data))
        self.assertEqual(self.order(), [])
        self.successResultOf(upload.commit())
        self.assertEqual(self.order(), [digest.key])
