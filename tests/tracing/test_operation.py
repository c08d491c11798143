"""Tests of gorego_tw.tracing.operation."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import NotFound, Unavailable
from gorego_tw.telemetry.context import detached
from gorego_tw.telemetry.current import begin, current
from gorego_tw.telemetry.span import LocalRoot
from gorego_tw.tracing.operation import Kind, Operation, broke, tally_of, took
from tests.telemetry.counted import Counted
from tests.telemetry.recording import Call, Recording

GET = Kind.of("LocalStore.Get", "get", "local")


class OperationTestCase(SynchronousTestCase):
    ratio = 1.0

    def setUp(self) -> None:
        self.recording = Recording(self.ratio)
        self.counted = Counted()
        self.call = Call()
        self.root = self.recording.serve("t.T/Read", self.call, self.counted.of("Read"), None)
        current.set(self.root)
        self.addCleanup(current.set, None)

    def fail_by(self, error: BaseException) -> None:
        """An operation that takes two seconds, and ends so."""
        with Operation(GET):
            self.recording.clock.advance(2)
            raise error


class TallyTests(OperationTestCase):
    def test_of_the_request(self) -> None:
        """There is one for what the request is for, and for nothing else."""
        self.assertIs(tally_of("get"), self.counted.of("Read"))
        self.assertIsNone(tally_of("put"))
        current.set(None)
        self.assertIsNone(tally_of("get"))


class BlockTests(OperationTestCase):
    def test_outside(self) -> None:
        """Where there is no request, nothing is recorded, and failures are as ever."""
        current.set(None)
        with Operation(GET) as operation:
            self.assertIsNone(operation.span)
        self.assertRaises(Unavailable, self.fail_by, Unavailable("down"))

    def test_current(self) -> None:
        """The span is current in the block, and the one before it afterwards, whatever happens."""
        with Operation(GET) as operation:
            self.assertIs(current.get(), operation.span)
        self.assertIs(current.get(), self.root)
        self.assertRaises(Unavailable, self.fail_by, Unavailable("down"))
        self.assertIs(current.get(), self.root)

    def test_goes_on(self) -> None:
        """A span that goes on is not ended with the block; one that fails is."""
        with Operation(GET) as operation:
            operation.goes_on = True
        assert operation.span is not None
        self.assertIsNone(operation.span.ended)
        failing = Operation(GET)

        def fail() -> None:
            with failing:
                failing.goes_on = True
                raise NotFound("no")

        self.assertRaises(NotFound, fail)
        self.assertIsNotNone(failing.span and failing.span.ended)

    def test_several(self) -> None:
        """An operation on several blobs counts as so many."""
        with Operation(GET, 5) as operation:
            operation.missing = 2
        self.assertEqual(self.counted.requests("Read"), {"local hit": 3, "local miss": 2})
        self.assertEqual(self.counted.answers("Read"), {"local": 1})

    def test_latency(self) -> None:
        """The latency is that of the block, also if it fails."""
        self.assertRaises(Unavailable, self.fail_by, Unavailable("down"))
        self.assertEqual(self.counted.of("Read").tiers["get.local"].latency.sum, 2)

    def test_cause(self) -> None:
        """Work that was begun for a request is counted as that request is, and is a request of its own."""
        context = detached()
        current.set(None)

        def work() -> None:
            with Operation(GET) as operation:
                self.assertIsInstance(operation.span, LocalRoot)

        context.run(work)
        self.assertEqual(self.counted.requests("Read"), {"local hit": 1})
        self.assertEqual(self.recording.exported.names, ["LocalStore.Get"])


class LeavingTests(OperationTestCase):
    """Calls that are cancelled while a tier is at work for them."""

    def test_client_leaves(self) -> None:
        """Who leaves is no error of the tier, and says nothing of its latency."""
        self.assertRaises(CancelledError, self.fail_by, CancelledError())
        self.assertEqual(self.counted.requests("Read"), {})
        self.assertEqual(self.counted.answers("Read"), {})
        self.assertEqual([s.details.error for s in self.root.spans or ()], [""])

    def test_time_is_left(self) -> None:
        """Whether it would have waited longer does not matter."""
        self.call.remaining = 5
        self.assertRaises(CancelledError, self.fail_by, CancelledError())
        self.assertEqual(self.counted.requests("Read"), {})

    def test_deadline(self) -> None:
        """A client whose deadline passed is one of it: it was too slow."""
        self.call.remaining = 0
        self.assertRaises(CancelledError, self.fail_by, CancelledError())
        self.assertEqual(self.counted.requests("Read"), {"local error": 1})
        self.assertEqual(self.counted.of("Read").tiers["get.local"].latency.sum, 2)

    def test_fetch(self) -> None:
        """A fetch that was given up is one, too: it had the time that a fetch has without a reader."""
        context = detached()
        context.run(current.set, context.run(begin, "fetch"))
        self.assertRaises(CancelledError, context.run, self.fail_by, CancelledError())
        self.assertEqual(self.counted.requests("Read"), {"local error": 1})

    def test_unsampled(self) -> None:
        """It is the same in a request that is not sampled."""
        broke(self.root, GET, 0, CancelledError())
        self.assertEqual(self.counted.requests("Read"), {})
        self.call.remaining = 0
        broke(self.root, GET, 0, CancelledError())
        self.assertEqual(self.counted.requests("Read"), {"local error": 1})


class QuickTests(OperationTestCase):
    """Operations that are recorded when they have ended."""

    ratio = 0.0

    def test_took(self) -> None:
        """Hits and misses are counted, and the time since it began."""
        self.recording.clock.advance(2)
        took(self.root, GET, 0.5, 3, 1)
        self.assertEqual(self.counted.requests("Read"), {"local hit": 3, "local miss": 1})
        self.assertEqual(self.counted.of("Read").tiers["get.local"].latency.sum, 1.5)

    def test_broke(self) -> None:
        """An error is counted, and recorded however quick it was; absence is a miss."""
        broke(self.root, GET, 0, Unavailable("down"), 3)
        broke(self.root, GET, 0, NotFound("no"), 2)
        self.assertEqual(self.counted.requests("Read"), {"local error": 3, "local miss": 2})
        self.assertEqual([s.details.error for s in self.root.spans or ()], ["down"])

    def test_uncounted(self) -> None:
        """What is not what the request is for is recorded, if it was slow, and not counted."""
        self.recording.clock.advance(2)
        took(self.root, Kind.of("LocalStore.FindMissing", "find_missing", "local"), 0, 1)
        self.assertEqual([s.name for s in self.root.spans or ()], ["LocalStore.FindMissing"])
        self.assertEqual(self.counted.requests("Read"), {})
