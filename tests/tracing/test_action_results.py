"""Tests of gorego_tw.tracing.action_results."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import NotFound, Reason, StatusError, Unavailable
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.memory import MemoryActionResults
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.span import LocalRoot
from gorego_tw.tracing.action_results import (
    ServedActionResults,
    TracedActionResults,
    TracedUpstreamResults,
)
from tests.proxy.fakes import FakeUpstreamResults
from tests.storage.contract import ActionResultsContract
from tests.storage.tiers import blob
from tests.telemetry.counted import Counted
from tests.telemetry.recording import Recording

KEY = ActionKey("", blob(100)[0])
RESULT = StoredActionResult(b"result", ())


class FailingResults(MemoryActionResults):
    """Action results in memory.

    :ivar failure: what asking for one fails with, if anything.
    """

    failure: StatusError | None = None

    async def get(self, key: ActionKey) -> StoredActionResult:
        """The action result."""
        if self.failure is not None:
            raise self.failure
        return await super().get(key)


class OutsideTests(ActionResultsContract, SynchronousTestCase):
    """As any action results, where nothing is recorded."""

    def setUp(self) -> None:
        self.results = ServedActionResults(
            MemoryActionResults(), "LocalStore", "local", lambda _: "absent"
        )


class SampledTests(OutsideTests):
    """As any action results, in a request that is sampled."""

    ratio = 1.0

    def setUp(self) -> None:
        super().setUp()
        current.set(Recording(self.ratio).root(Counted().of("GetActionResult")))
        self.addCleanup(current.set, None)


class UnsampledTests(SampledTests):
    """As any action results, in a request that is not."""

    ratio = 0.0


class CountingTests(SynchronousTestCase):
    ratio = 1.0

    def setUp(self) -> None:
        self.recording = Recording(self.ratio)
        self.counted = Counted()
        self.there = FailingResults()
        self.reason: Reason = "absent"
        self.local = TracedActionResults(self.there, "LocalStore", "local")
        self.served = ServedActionResults(self.there, "LocalStore", "local", lambda _: self.reason)
        self.addCleanup(current.set, None)

    def begin(self, method: str) -> LocalRoot:
        """A request by that method begins."""
        root = self.recording.root(self.counted.of(method))
        current.set(root)
        return root

    def miss(self, error: StatusError | None = None) -> None:
        """Ask for what is not there, or fails so."""
        self.there.failure = error
        self.failureResultOf(self.served.get(KEY), NotFound if error is None else type(error))

    def test_get(self) -> None:
        """A result that is there is a hit, one that is not is a miss, trouble is an error."""
        self.begin("GetActionResult")
        self.miss()
        self.miss(Unavailable("down"))
        self.there.failure = None
        self.there.results[KEY] = RESULT
        self.assertEqual(self.successResultOf(self.served.get(KEY)), RESULT)
        self.assertEqual(
            self.counted.requests("GetActionResult"),
            {"local hit": 1, "local miss": 1, "local error": 1},
        )
        self.assertEqual(self.counted.answers("GetActionResult"), {"local": 3})
        self.assertEqual(self.counted.sizes("GetActionResult"), {"": 1})
        self.assertEqual(self.counted.of("GetActionResult").sizes.sum, len(RESULT.data))

    def test_put(self) -> None:
        """A result that is kept is a hit, and has a size."""
        self.begin("UpdateActionResult")
        self.successResultOf(self.served.put(KEY, RESULT))
        self.assertEqual(self.counted.requests("UpdateActionResult"), {"local hit": 1})
        self.assertEqual(self.counted.sizes("UpdateActionResult"), {"": 1})

    def test_reasons(self) -> None:
        """A miss is one by what the store says, or else by what is known of it; trouble is none."""
        self.begin("GetActionResult")
        self.miss(Unavailable("down"))
        self.assertEqual(self.counted.misses("GetActionResult"), {})
        reasons: list[Reason] = ["incomplete", "expired", "backing_down", "denied", "corrupt"]
        for reason in reasons:
            self.miss(NotFound("no", reason=reason))
        self.miss()
        self.reason = "evicted"
        self.miss()
        self.assertEqual(
            self.counted.misses("GetActionResult"),
            dict.fromkeys([*reasons, "absent", "evicted"], 1),
        )

    def test_on_the_way(self) -> None:
        """A result that is looked up for something else is not counted."""
        self.begin("UpdateActionResult")
        self.miss()
        self.assertEqual(self.counted.requests("UpdateActionResult"), {})
        self.assertEqual(self.counted.misses("UpdateActionResult"), {})


class UnsampledCountingTests(CountingTests):
    """The counts are the same in a request that is not sampled."""

    ratio = 0.0


class SpanTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.root = self.recording.root()
        current.set(self.root)
        self.addCleanup(current.set, None)

    def test_names(self) -> None:
        """Each operation is a span."""
        results = TracedActionResults(MemoryActionResults(), "ProxyStore")
        self.successResultOf(results.put(KEY, RESULT))
        self.successResultOf(results.get(KEY))
        self.assertEqual(
            [span.name for span in self.root.spans or ()],
            ["ProxyStore.PutActionResult", "ProxyStore.GetActionResult"],
        )


class UpstreamResultsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.there = FakeUpstreamResults()
        self.upstream = TracedUpstreamResults(self.there, "RemoteStore", "backing")
        self.counted = Counted()
        self.root = Recording().root(self.counted.of("UpdateActionResult"))
        current.set(self.root)
        self.addCleanup(current.set, None)

    def test_put(self) -> None:
        """A write is a span, and counted."""
        self.successResultOf(self.upstream.put(KEY, b"result"))
        self.assertEqual(self.there.results, {KEY: b"result"})
        self.there.failure = Unavailable("down")
        self.failureResultOf(self.upstream.put(KEY, b"result"), Unavailable)
        found = self.counted.requests("UpdateActionResult")
        self.assertEqual(found, {"backing hit": 1, "backing error": 1})
        names = {span.name for span in self.root.spans or ()}
        self.assertEqual(names, {"RemoteStore.PutActionResult"})

    def test_get(self) -> None:
        """A read is as it is."""
        self.there.results[KEY] = b"result"
        self.assertEqual(self.successResultOf(self.upstream.get(KEY)), b"result")
        self.assertIsNone(self.root.spans)
