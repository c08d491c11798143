"""Tests of gorego_tw.storage.remembered."""

from __future__ import annotations

from collections.abc import Callable

from gorego_tw.digest import Digest
from gorego_tw.errors import NotFound
from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.storage import remembered
from gorego_tw.storage.completeness import CompletenessChecking
from gorego_tw.storage.decorator import ActionResultsDecorator
from gorego_tw.storage.local import action_key
from gorego_tw.storage.memory import MemoryActionResults
from gorego_tw.storage.remembered import Remembering
from gorego_tw.storage.removals import Removals
from tests.storage.contract import ActionResultsContract
from tests.storage.tiers import TierTestCase, blob


class Counting(ActionResultsDecorator):
    """Counts how often it is asked.

    :ivar asked: so often.
    :ivar meanwhile: happens before it answers.
    """

    def __init__(self, base: IActionResults) -> None:
        super().__init__(base)
        self.asked = 0
        self.meanwhile: Callable[[], object] = bool

    async def get(self, key: ActionKey) -> StoredActionResult:
        self.asked += 1
        result = await self._base.get(key)
        self.meanwhile()
        return result


class RememberingContractTests(ActionResultsContract, TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.results = Remembering(self.tier.action_results, self.tier.index, self.tier.last_use)


class RememberingTests(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.base = Counting(CompletenessChecking(self.tier.action_results, self.tier.blobs))
        self.results = Remembering(self.base, self.tier.index, self.tier.last_use)
        self.key = ActionKey("", blob(100)[0])
        self.outputs = [self.put(size)[0] for size in (10, 10_000)]
        self.keep(self.key, b"result")

    def keep(self, key: ActionKey, data: bytes) -> None:
        """A result with those outputs."""
        result = StoredActionResult(data, tuple(self.outputs))
        self.successResultOf(self.results.put(key, result))

    def get(self, times: int = 1) -> bytes:
        """The result, asked for so often."""
        got = [self.successResultOf(self.results.get(self.key)).data for _ in range(times)]
        return bytes(got[-1])

    def evict(self, digest: Digest) -> None:
        """Take a blob out."""
        self.tier.inventory.evict([digest.key])

    def test_asked_again(self) -> None:
        """A result that is asked for a third time is not looked for any more."""
        self.assertEqual(self.get(10), b"result")
        self.assertEqual(self.base.asked, 2)

    def test_recalled(self) -> None:
        """It is recalled from then on, until something is taken out."""
        self.assertIsNone(self.results.recall(self.key))
        self.get()
        self.assertIsNone(self.results.recall(self.key))
        self.get()
        recalled = self.results.recall(self.key)
        assert recalled is not None
        self.assertEqual(recalled.data, b"result")
        self.evict(self.outputs[1])
        self.assertIsNone(self.results.recall(self.key))

    def test_others_gone(self) -> None:
        """What is taken out elsewhere makes nobody forget."""
        others = [self.put(size)[0] for size in (11, 11_000)]
        self.get(2)
        for other in others:
            self.evict(other)
            self.assertEqual(self.get(), b"result")
        self.assertEqual(self.base.asked, 2)
        self.evict(self.outputs[0])
        self.failureResultOf(self.results.get(self.key), NotFound)

    def test_too_many_gone(self) -> None:
        """If so much was taken out that nobody knows all of it, the result is looked for again."""
        self.tier.index.removals = Removals(most=1)
        others = [self.put(size)[0] for size in (11, 12)]
        self.get(2)
        self.tier.inventory.evict([other.key for other in others])
        self.assertIsNone(self.results.recall(self.key))
        self.assertEqual(self.get(), b"result")
        self.assertEqual(self.base.asked, 3)

    def test_gone_while_looked_for(self) -> None:
        """What is taken out while the result is looked for is not overlooked."""
        self.get()
        self.base.meanwhile = lambda: self.evict(self.outputs[1])
        self.get()
        self.assertIsNone(self.results.recall(self.key))

    def test_output_gone(self) -> None:
        """One of whose outputs something was taken away is not there, however often it was."""
        self.get(10)
        self.evict(self.outputs[1])
        self.failureResultOf(self.results.get(self.key), NotFound)
        self.put(10_000)
        self.assertEqual(self.get(), b"result")

    def test_output_damaged(self) -> None:
        """As soon as damage is found, the result is gone too."""
        self.get(10)
        self.path(self.outputs[1]).write_bytes(b"damage")
        self.failureResultOf(self.tier.blobs.get(self.outputs[1]), NotFound)
        self.failureResultOf(self.results.get(self.key), NotFound)

    def test_replaced(self) -> None:
        """A result that is replaced, by whatever way, is the new one at once."""
        self.get(10)
        result = StoredActionResult(b"another", ())
        self.successResultOf(self.tier.action_results.put(self.key, result))
        self.assertEqual(self.get(), b"another")

    def test_result_gone(self) -> None:
        """A result that was evicted is not there."""
        self.get(10)
        self.tier.inventory.evict([action_key(self.key)])
        self.failureResultOf(self.results.get(self.key), NotFound)

    def test_additions_do_not_matter(self) -> None:
        """What is added makes nobody forget."""
        self.get(2)
        self.put(77)
        self.keep(ActionKey("other", self.key.action), b"other")
        self.get()
        self.assertEqual(self.base.asked, 2)

    def test_last_use(self) -> None:
        """The last use of the result and of all its outputs is renewed each time."""
        self.get(2)
        self.tier.last_use.flush_slice()
        self.clock.advance(100)
        self.tier.last_use.tick()
        self.get()
        self.assertEqual(self.base.asked, 2)
        keys = [action_key(self.key), *(digest.key for digest in self.outputs)]
        self.assertEqual(
            [self.tier.last_use.latest(key, 0) for key in keys], [self.tier.last_use.now] * 3
        )

    def test_elsewhere(self) -> None:
        """A result whose outputs are not all here may become incomplete without our knowing."""
        memory = MemoryActionResults()
        base = Counting(memory)
        inventory = self.tier.inventory
        results = Remembering(
            base,
            self.tier.index,
            self.tier.last_use,
            are_here=lambda references: not inventory.missing(references),
        )
        there = StoredActionResult(b"there", (blob(5)[0],))
        self.successResultOf(memory.put(self.key, there))
        for _ in range(5):
            self.successResultOf(results.get(self.key))
        self.assertEqual(base.asked, 5)

    def test_bound(self) -> None:
        """What is remembered is bounded by its size; the first is forgotten first."""
        self.patch(remembered, "MOST_BYTES", 20_000)
        keys = [ActionKey(str(number), self.key.action) for number in range(10)]
        for key in keys:
            self.keep(key, bytes(3_000))
            for _ in range(2):
                self.successResultOf(self.results.get(key))
        self.assertLess(len(self.results), 6)
        asked = self.base.asked
        self.successResultOf(self.results.get(keys[-1]))
        self.assertEqual(self.base.asked, asked)
        self.successResultOf(self.results.get(keys[0]))
        self.assertEqual(self.base.asked, asked + 1)
