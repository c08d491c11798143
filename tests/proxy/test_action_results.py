"""Tests of gorego_tw.proxy.action_results."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import NotFound, ResourceExhausted, StatusError, Unavailable
from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.proxy.action_results import MOST_COMPARISONS, ProxyActionResults
from gorego_tw.proxy.freshness import Freshness, FreshnessRules
from gorego_tw.proxy.outage import Outage
from gorego_tw.storage.memory import MemoryActionResults
from tests.proxy.fakes import RecordingPolicy

ACTION = digest_of(b"action", DigestFunction.SHA256)
FINAL, COMPARED, STRICT = (ActionKey(name, ACTION) for name in ("final", "compared", "strict"))
HERE, THERE, NEWER, OTHER = (
    StoredActionResult(data, ()) for data in (b"here", b"there", b"newer", b"other")
)


@implementer(IActionResults)
class SlowResults(MemoryActionResults):
    """Action results that come when the test says so, if it wants to.

    :ivar asked: the keys asked for.
    :ivar gates: one for each lookup under way, if ``slow``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[ActionKey] = []
        self.slow = False
        self.gates: list[Deferred[None]] = []
        self.failure: StatusError | None = None

    async def get(self, key: ActionKey) -> StoredActionResult:
        """The result, later."""
        self.asked.append(key)
        if self.slow:
            gate: Deferred[None] = Deferred()
            self.gates.append(gate)
            await gate
        if self.failure is not None:
            raise self.failure
        return await super().get(key)


class ProxyActionResultsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kept = MemoryActionResults()
        self.upstream = SlowResults()
        self.policy = RecordingPolicy()
        self.pending: set[ActionKey] = set()
        rules = FreshnessRules(
            Freshness.LOCAL, {"compared": Freshness.REVALIDATE, "strict": Freshness.STRICT}
        )
        self.outage = Outage(as_absence=False)
        self.results = ProxyActionResults(
            self.kept,
            self.kept,
            self.upstream,
            rules=rules,
            policy=self.policy,
            outage=self.outage,
            is_pending=self.pending.__contains__,
        )

    def get(self, key: ActionKey) -> StoredActionResult:
        """An action result."""
        result: StoredActionResult = self.successResultOf(self.results.get(key))
        return result

    def test_asked_before_a_write(self) -> None:
        """Who asks after a write was acknowledged is not told what was asked for before it."""
        self.upstream.slow = True
        before = Deferred.fromCoroutine(self.results.get(STRICT))
        self.successResultOf(Deferred.fromCoroutine(self.results.put(STRICT, NEWER)))
        after = Deferred.fromCoroutine(self.results.get(STRICT))
        self.assertEqual(len(self.upstream.gates), 2)
        self.upstream.gates[0].callback(None)
        self.failureResultOf(before, NotFound)
        self.upstream.results[STRICT] = NEWER
        self.upstream.gates[1].callback(None)
        self.assertEqual(self.successResultOf(after), NEWER)

    def test_interface(self) -> None:
        """It is a store of action results."""
        verifyObject(IActionResults, self.results)

    def test_written_through_meanwhile(self) -> None:
        """What was written since the backing cache was asked is not replaced by its answer."""
        for key in (FINAL, COMPARED, STRICT):
            if key is COMPARED:
                self.kept.results[key] = HERE
            self.upstream.results[key] = THERE
            self.upstream.slow = True
            asking = Deferred.fromCoroutine(self.results.get(key))
            self.successResultOf(Deferred.fromCoroutine(self.results.put(key, NEWER)))
            self.kept.results[key] = NEWER  # by the policy
            self.upstream.gates.pop().callback(None)
            self.successResultOf(asking)
            self.assertEqual(self.kept.results[key], NEWER)
        self.assertEqual(self.results.different, 0)

    def test_local_hit(self) -> None:
        """What is here is answered, and nobody is asked."""
        self.kept.results[FINAL] = HERE
        self.assertEqual(self.get(FINAL), HERE)
        self.assertEqual(self.upstream.asked, [])

    def test_miss(self) -> None:
        """What is only there is answered and kept."""
        self.upstream.results[FINAL] = THERE
        self.assertEqual(self.get(FINAL), THERE)
        self.assertEqual(self.kept.results, {FINAL: THERE})

    def test_no_room(self) -> None:
        """What there is no room for here is answered all the same."""

        async def full(key: ActionKey, result: StoredActionResult) -> None:
            raise ResourceExhausted("local tier: no room")

        self.kept.put = full  # type: ignore[method-assign]
        self.upstream.results[FINAL] = THERE
        self.assertEqual(self.get(FINAL), THERE)

    def test_trouble_here(self) -> None:
        """Trouble of the local tier is not told as that of the backing cache, which is asked instead unless
        what is here is newer.
        """
        trouble = Unavailable("local tier: index: Input/output error")

        async def fail(*_: object) -> StoredActionResult:
            raise trouble

        self.kept.get = fail  # type: ignore[method-assign, assignment]
        self.kept.put = fail  # type: ignore[method-assign, assignment]
        self.upstream.results[FINAL] = THERE
        self.assertEqual(self.get(FINAL), THERE)
        self.pending.add(FINAL)
        error = self.failureResultOf(self.results.get(FINAL), Unavailable).value
        self.assertEqual(error, trouble)
        self.pending.clear()
        self.upstream.failure = trouble  # of the look for the outputs
        self.failureResultOf(self.results.get(FINAL), Unavailable)
        self.assertEqual(self.outage.told, 0)

    def test_writes_at_the_same_time(self) -> None:
        """Writes of one action are kept one after the other, whatever becomes of them; others wait for none."""
        gates: dict[bytes, Deferred[None]] = {}
        ended: list[bytes] = []

        async def store(_: ActionKey, result: StoredActionResult) -> None:
            gates[result.data] = Deferred()
            await gates[result.data]
            ended.append(result.data)

        self.patch(self.policy, "store", store)
        writing = {
            result.data: Deferred.fromCoroutine(self.results.put(key, result))
            for key, result in ((FINAL, HERE), (FINAL, THERE), (FINAL, NEWER), (STRICT, OTHER))
        }
        self.assertEqual(set(gates), {b"here", b"other"})
        writing[b"there"].cancel()
        self.failureResultOf(writing[b"there"], CancelledError)
        gates[b"here"].errback(Unavailable("down"))
        self.failureResultOf(writing[b"here"], Unavailable)
        gates[b"newer"].callback(None)
        gates[b"other"].callback(None)
        self.assertEqual(ended, [b"newer", b"other"])
        self.assertEqual(self.results._turns, {})

    def test_nowhere(self) -> None:
        """What is in neither tier is absent."""
        self.failureResultOf(self.results.get(FINAL), NotFound)

    def test_one_fetch(self) -> None:
        """However many ask at the same time, the backing cache is asked once."""
        self.upstream.results[FINAL] = THERE
        self.upstream.slow = True
        waiting = [Deferred.fromCoroutine(self.results.get(FINAL)) for _ in range(3)]
        (gate,) = self.upstream.gates
        gate.callback(None)
        self.assertEqual([self.successResultOf(each) for each in waiting], [THERE] * 3)

    def test_put(self) -> None:
        """What is written is the policy's affair."""
        self.successResultOf(self.results.put(FINAL, HERE))
        self.assertEqual(self.policy.told, [("store", (FINAL, HERE))])

    def test_strict(self) -> None:
        """Where it is strict, a local hit counts for nothing."""
        self.kept.results[STRICT] = HERE
        self.upstream.results[STRICT] = THERE
        self.assertEqual(self.get(STRICT), THERE)
        self.assertEqual(self.kept.results[STRICT], THERE)
        del self.upstream.results[STRICT]
        self.failureResultOf(self.results.get(STRICT), NotFound)
        self.upstream.failure = Unavailable("backing cache: down")
        self.failureResultOf(self.results.get(STRICT), Unavailable)

    def test_pending(self) -> None:
        """What was written here and has still to be uploaded is newer than what is there, however strict."""
        for key in (STRICT, COMPARED):
            self.kept.results[key] = HERE
            self.upstream.results[key] = THERE
            self.pending.add(key)
            self.assertEqual(self.get(key), HERE)
            self.assertEqual(self.kept.results[key], HERE)
        self.assertEqual(self.upstream.asked, [])

    def test_written_meanwhile(self) -> None:
        """What was written here while the backing cache was asked is not overwritten."""
        self.upstream.results[FINAL] = THERE
        self.upstream.slow = True
        getting = Deferred.fromCoroutine(self.results.get(FINAL))
        self.kept.results[FINAL] = HERE
        self.pending.add(FINAL)
        self.upstream.gates.pop().callback(None)
        self.assertEqual(self.successResultOf(getting), THERE)
        self.assertEqual(self.kept.results[FINAL], HERE)

    def test_compared(self) -> None:
        """A local hit is answered at once; a difference found afterwards is counted and taken over."""
        self.kept.results[COMPARED] = HERE
        self.upstream.results[COMPARED] = THERE
        self.upstream.slow = True
        self.assertEqual(self.get(COMPARED), HERE)
        self.upstream.gates.pop().callback(None)
        self.assertEqual((self.results.compared, self.results.different), (1, 1))
        self.assertEqual(self.kept.results[COMPARED], THERE)

    def test_the_same(self) -> None:
        """What is the same is no difference."""
        self.kept.results[COMPARED] = self.upstream.results[COMPARED] = HERE
        self.get(COMPARED)
        self.assertEqual((self.results.compared, self.results.different), (1, 0))

    def test_not_there(self) -> None:
        """What is not there is no difference; the local result stays."""
        self.kept.results[COMPARED] = HERE
        self.assertEqual(self.get(COMPARED), HERE)
        self.assertEqual((self.results.compared, self.results.different), (0, 0))
        self.assertEqual(self.kept.results[COMPARED], HERE)

    def test_comparison_in_trouble(self) -> None:
        """Trouble while comparing bothers nobody."""
        self.kept.results[COMPARED] = HERE
        self.upstream.failure = Unavailable("backing cache: down")
        self.assertEqual(self.get(COMPARED), HERE)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_bounded_comparisons(self) -> None:
        """No more than so many comparisons are under way, and one for each action."""
        self.upstream.slow = True
        for number in range(MOST_COMPARISONS + 10):
            name = digest_of(b"%d" % number, DigestFunction.SHA256)
            key = ActionKey("compared", name)
            self.kept.results[key] = HERE
            self.get(key)
            self.get(key)
        self.assertEqual(len(self.upstream.asked), MOST_COMPARISONS)
