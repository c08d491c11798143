"""Tests of gorego_tw.tracing.recalled."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import NotFound
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.memory import MemoryActionResults
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.span import LocalRoot
from gorego_tw.tracing.action_results import ServedActionResults
from gorego_tw.tracing.recalled import Recalling
from tests.storage.contract import ActionResultsContract
from tests.storage.tiers import blob
from tests.telemetry.counted import Counted
from tests.telemetry.recording import Recording

KEY = ActionKey("", blob(100)[0])
STORED = StoredActionResult(b"stored", ())
REMEMBERED = StoredActionResult(b"remembered", ())


class RecallingContractTests(ActionResultsContract, SynchronousTestCase):
    """As any action results, where nothing is remembered."""

    def setUp(self) -> None:
        self.results = Recalling(MemoryActionResults(), lambda _: None)


class RecallingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.counted = Counted()
        stores = MemoryActionResults()
        stores.results[KEY] = STORED
        self.remembered: dict[ActionKey, StoredActionResult] = {}
        self.results = Recalling(
            ServedActionResults(stores, "LocalStore", "local", lambda _: "absent"),
            self.remembered.get,
        )
        self.addCleanup(current.set, None)

    def begin(self, method: str, ratio: float = 0.0) -> LocalRoot:
        """A request by that method begins, sampled or not."""
        root = Recording(ratio).root(self.counted.of(method))
        current.set(root)
        return root

    def get(self) -> StoredActionResult:
        """What is there now."""
        result: StoredActionResult = self.successResultOf(self.results.get(KEY))
        return result

    def test_remembered(self) -> None:
        """What is remembered is the answer, whether somebody records it or not; else the stores have it."""
        for recorded in (False, True):
            if recorded:
                self.begin("GetActionResult")
            self.remembered.clear()
            self.assertIs(self.get(), STORED)
            self.remembered[KEY] = REMEMBERED
            self.assertIs(self.get(), REMEMBERED)

    def test_absent(self) -> None:
        """What neither has is absent."""
        other = ActionKey("other", KEY.action)
        self.failureResultOf(self.results.get(other), NotFound)

    def test_counted(self) -> None:
        """Both are hits of the local tier, with a size."""
        self.begin("GetActionResult")
        self.get()
        self.remembered[KEY] = REMEMBERED
        self.get()
        self.assertEqual(self.counted.requests("GetActionResult"), {"local hit": 2})
        self.assertEqual(self.counted.answers("GetActionResult"), {"local": 2})
        self.assertEqual(self.counted.sizes("GetActionResult"), {"": 2})
        sizes = self.counted.of("GetActionResult").sizes
        self.assertEqual(sizes.sum, len(STORED.data) + len(REMEMBERED.data))

    def test_on_the_way(self) -> None:
        """A result that is looked up for something else is not counted."""
        self.remembered[KEY] = REMEMBERED
        self.begin("UpdateActionResult")
        self.get()
        self.assertEqual(self.counted.requests("UpdateActionResult"), {})

    def test_sampled(self) -> None:
        """A request that is sampled asks the stores, which are spans of it."""
        self.remembered[KEY] = REMEMBERED
        root = self.begin("GetActionResult", 1.0)
        self.assertIs(self.get(), STORED)
        assert root.spans is not None
        self.assertEqual([span.name for span in root.spans], ["LocalStore.GetActionResult"])
