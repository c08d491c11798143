"""Action results whose outputs are gone."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import NotFound
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.completeness import CompletenessChecking
from gorego_tw.storage.memory import MemoryActionResults, MemoryBlobs
from tests.storage.contract import ActionResultsContract
from tests.storage.tiers import TierTestCase, blob, put


class EveryBlob(MemoryBlobs):
    """A store that has everything."""

    async def find_missing(self, digests: object) -> list[object]:  # type: ignore[override]  # of anything
        return []


class CompletenessContractTests(ActionResultsContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.results = CompletenessChecking(MemoryActionResults(), EveryBlob())


class CompletenessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.blobs = MemoryBlobs()
        self.results = CompletenessChecking(MemoryActionResults(), self.blobs)
        self.key = ActionKey("", blob(100)[0])
        self.outputs = [blob(size) for size in (1, 2, 3)]
        self.result = StoredActionResult(b"x", tuple(digest for digest, _ in self.outputs))

    def test_complete(self) -> None:
        """With all its outputs there, the result is."""
        for digest, data in self.outputs:
            self.successResultOf(put(self.blobs, digest, data))
        self.successResultOf(self.results.put(self.key, self.result))
        self.assertEqual(self.successResultOf(self.results.get(self.key)), self.result)

    def test_incomplete(self) -> None:
        """With one of its outputs gone, so is the result; the message names it."""
        for digest, data in self.outputs[:2]:
            self.successResultOf(put(self.blobs, digest, data))
        self.successResultOf(self.results.put(self.key, self.result))
        failure = self.failureResultOf(self.results.get(self.key), NotFound)
        self.assertIn(str(self.outputs[2][0]), str(failure.value))


class RenewalTests(TierTestCase):
    def test_outputs_are_renewed(self) -> None:
        """Who asks for a result uses its outputs too."""
        digest, _ = self.put(5000)
        results = CompletenessChecking(self.tier.action_results, self.tier.blobs)
        key = ActionKey("", blob(100)[0])
        self.successResultOf(results.put(key, StoredActionResult(b"x", (digest,))))
        self.clock.advance(100)
        self.tier.last_use.tick()
        self.successResultOf(results.get(key))
        self.assertEqual(self.tier.last_use.latest(digest.key, 0), 1_000_100)
