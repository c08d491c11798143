"""Tests of gorego_tw.telemetry.tracing."""

from __future__ import annotations

from uuid import uuid4

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Unavailable
from gorego_tw.telemetry.context import detached
from gorego_tw.telemetry.current import begin, current
from gorego_tw.telemetry.kept import SLOW_SECONDS
from gorego_tw.telemetry.span import LocalRoot
from gorego_tw.telemetry.tallies import UNCOUNTED
from tests.telemetry.recording import Call, Recording

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
UNSAMPLED = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-00"}


class TracingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.record()
        self.addCleanup(current.set, None)

    def record(self, ratio: float = 1.0) -> None:
        """Record with that ratio from now on."""
        self.recording = Recording(ratio)
        self.exported = self.recording.exported

    def kept(self) -> dict[str, list[str]]:
        """The buckets in which something is kept, by method."""
        return {name: sorted(ring) for name, ring in self.recording.kept.rings().items()}

    def take(self, seconds: float, root: LocalRoot) -> LocalRoot:
        """A call that takes so long, and ends well."""
        self.recording.clock.advance(seconds)
        self.recording.served(root)
        return root


class SamplingTests(TracingTestCase):
    def test_all(self) -> None:
        """At 1 all calls are exported."""
        for _ in range(100):
            self.take(0, self.recording.root())
        self.assertEqual(len(self.exported.roots), 100)

    def test_none(self) -> None:
        """At 0 none is."""
        self.record(0.0)
        for _ in range(100):
            self.take(0, self.recording.root())
        self.assertEqual(self.exported.roots, [])

    def test_some(self) -> None:
        """Between them those whose trace is sampled are."""
        self.record(0.5)
        roots = [self.take(0, self.recording.root()) for _ in range(200)]
        sampled = [root for root in roots if root.origin.is_sampled]
        self.assertEqual(self.exported.roots, sampled)
        self.assertTrue(0 < len(sampled) < 200)

    def test_the_clients_decision(self) -> None:
        """What a client has decided goes before the ratio."""
        self.take(0, self.recording.root(**UNSAMPLED))
        self.assertEqual(self.exported.roots, [])
        self.record(0.0)
        root = self.take(0, self.recording.root(**SAMPLED))
        self.assertEqual(self.exported.roots, [root])

    def test_nowhere_to_go(self) -> None:
        """Without an exporter nothing is sampled, nor is it found out to which trace it belongs."""
        self.recording.export = None
        root = self.take(0, self.recording.root(**SAMPLED))
        self.assertFalse(root.is_sampled)
        self.assertIsNone(root.details.origin)

    def test_no_room(self) -> None:
        """What there is no room for is not exported, and harms nobody."""
        self.exported.has_room = False
        root = self.take(0, self.recording.root())
        self.assertEqual((self.exported.roots, root.details.code), ([], "OK"))


class KeptTests(TracingTestCase):
    """What is kept to be looked at, whether it is exported or not."""

    def test_quick(self) -> None:
        """What was quick and well is not kept."""
        for ratio in (0.0, 1.0):
            self.record(ratio)
            self.take(SLOW_SECONDS[0] / 2, self.recording.root())
            self.assertEqual(self.kept(), {})

    def test_slow(self) -> None:
        """What was slow is, with what it was, and that it is not exported if it is not."""
        for ratio in (0.0, 1.0):
            self.record(ratio)
            root = self.take(2, self.recording.root())
            self.assertEqual(self.kept(), {"t.T/Get": [">= 1 s"]})
            self.assertEqual(root.details.attributes, {"subject": "what it asks for"})
            self.assertIsNone(root.call)
            self.assertEqual(bool(self.exported.roots), bool(ratio))

    def test_failed(self) -> None:
        """So is what failed."""
        for ratio in (0.0, 1.0):
            self.record(ratio)
            self.recording.root().fail(Unavailable("down"))
            self.assertEqual(self.kept(), {"t.T/Get": ["failed"]})

    def test_without_an_exporter(self) -> None:
        """That needs no collector."""
        self.recording.export = None
        self.take(2, self.recording.root())
        self.recording.root().fail(Unavailable("down"))
        self.assertEqual(self.kept(), {"t.T/Get": [">= 1 s", "failed"]})

    def test_no_room(self) -> None:
        """What there is no room for is kept all the same, and does not pass for exported."""
        self.exported.has_room = False
        root = self.take(2, self.recording.root())
        self.assertEqual(self.kept(), {"t.T/Get": [">= 1 s"]})
        self.assertFalse(root.is_sampled)

    def test_nothing_left(self) -> None:
        """Of a call that nobody will see its parts are let go of at once: they refer to each other."""
        self.record(0.0)
        root = self.recording.root()
        root.begin("part").end()
        self.take(0, root)
        self.assertIsNone(root.spans)


class AccessTests(TracingTestCase):
    def test_each_call(self) -> None:
        """Who logs accesses is told of each call, however it ends, and of nothing but calls."""
        self.record(0.0)
        told: list[tuple[str, str]] = []
        self.recording.log_access = lambda root: told.append((root.name, root.details.code))
        root = self.recording.root()
        self.take(0, root)
        failing = self.recording.root()
        failing.own.code = "UNAVAILABLE"
        failing.fail(Unavailable("down"))
        current.set(self.recording.root())
        work = detached().run(begin, "work")
        assert work is not None
        work.end()
        self.assertEqual(told, [("t.T/Get", "OK"), ("t.T/Get", "UNAVAILABLE")])


class CauseTests(TracingTestCase):
    """Work that outlives the request it was begun for."""

    def begin(self, root: LocalRoot) -> LocalRoot:
        """Such work."""
        current.set(root)
        work = detached().run(begin, "work")
        current.set(None)
        assert isinstance(work, LocalRoot)
        return work

    def test_sampled_alike(self) -> None:
        """It is exported if the request is."""
        for ratio in (0.0, 1.0):
            self.record(ratio)
            self.begin(self.recording.root()).end()
            self.assertEqual(self.exported.names, ["work"] if ratio else [])

    def test_nowhere_to_go(self) -> None:
        """Without an exporter it is not sampled either."""
        self.recording.export = None
        self.assertFalse(self.begin(self.recording.root()).is_sampled)

    def test_trace(self) -> None:
        """It is of the same trace, below the span that began it, and has the same baggage."""
        root = self.recording.root(**SAMPLED, tracestate="a=1", baggage="b=2")
        origin = self.begin(root).origin
        self.assertEqual(origin, root.origin._replace(parent_id=root.span_id))

    def test_kept(self) -> None:
        """It is kept by itself, if it is slow or fails."""
        self.record(0.0)
        self.begin(self.recording.root()).fail(Unavailable("down"))
        self.assertEqual(self.kept(), {"work": ["failed"]})


class OutgoingTests(TracingTestCase):
    def told(self, root: LocalRoot) -> dict[str, str | bytes]:
        """What a peer is told that is called for it."""
        return dict(self.recording.outgoing(root))

    def test_ours(self) -> None:
        """A peer is told of our span."""
        root = self.recording.root(**SAMPLED)
        span_id = format(root.span_id, "016x")
        self.assertEqual(self.told(root)["traceparent"], f"00-{TRACE_ID}-{span_id}-01")

    def test_not_seen(self) -> None:
        """Without an exporter our span is one that nobody ever sees: the peer is told of the client's."""
        self.recording.export = None
        more = {"tracestate": "a=1", "baggage": "b=2"}
        for headers in (SAMPLED, UNSAMPLED):
            told = self.told(self.recording.root(**headers, **more))
            self.assertEqual(told.items() & (headers | more).items(), (headers | more).items())

    def test_not_decided(self) -> None:
        """Without an exporter a trace that begins here is none: the peer has a ratio of its own."""
        self.recording.export = None
        self.assertEqual(self.told(self.recording.root()), {})
        self.assertEqual(self.told(self.recording.root(invocation=str(uuid4()))), {})
        told = self.told(self.recording.root(baggage="b=2", invocation="x"))
        self.assertEqual(told, {"baggage": "b=2"})

    def test_of_work(self) -> None:
        """That holds for work that was begun for the request, too."""
        self.recording.export = None
        current.set(self.recording.root(**SAMPLED))
        work = detached().run(begin, "work")
        assert work is not None
        self.assertEqual(self.told(work.root)["traceparent"], SAMPLED["traceparent"])


class TracedTests(TracingTestCase):
    """Work of the daemon's own."""

    def test_each_time(self) -> None:
        """Each run is a trace of its own, and current while it runs."""
        seen: list[object] = []

        async def work() -> None:
            seen.append(current.get())

        run = self.recording.traced("Janitor", work)
        self.successResultOf(run())
        self.successResultOf(run())
        self.assertEqual(self.exported.names, ["Janitor", "Janitor"])
        self.assertEqual(seen, self.exported.roots)
        self.assertEqual(len({root.origin.trace_id for root in self.exported.roots}), 2)
        self.assertIsNone(current.get())

    def test_failure(self) -> None:
        """One that fails is a trace that failed."""

        async def work() -> None:
            raise ValueError("broken")

        self.failureResultOf(self.recording.traced("Janitor", work)(), ValueError)
        self.assertEqual(self.kept(), {"Janitor": ["failed"]})

    def test_broken_off(self) -> None:
        """One that is broken off has not failed."""

        async def work() -> None:
            await Deferred()

        running = Deferred.fromCoroutine(self.recording.traced("Janitor", work)())
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual((self.kept(), self.exported.names), ({}, ["Janitor"]))

    def test_sampling(self) -> None:
        """The ratio holds for them, too."""

        async def work() -> None:
            pass

        self.record(0.0)
        self.successResultOf(self.recording.traced("Janitor", work)())
        self.assertEqual(self.exported.roots, [])


class InvocationTests(TracingTestCase):
    def test_one_root(self) -> None:
        """All calls of a build are children of one span, which is exported when it is over."""
        invocation = uuid4()
        calls = [self.take(1, self.recording.root(invocation=str(invocation))) for _ in range(3)]
        self.assertEqual(self.exported.roots, calls)
        self.recording.invocations.end_all()
        build = self.exported.roots[-1]
        self.assertEqual(build.name, "build invocation")
        self.assertEqual(build.origin.trace_id, invocation.int)
        for call in calls:
            self.assertEqual(call.origin.trace_id, invocation.int)
            self.assertEqual(call.origin.parent_id, build.span_id)

    def test_no_room(self) -> None:
        """For the build's span there may be no room, either."""
        self.take(1, self.recording.root(invocation="x"))
        self.exported.has_room = False
        self.recording.invocations.end_all()
        self.assertEqual(self.exported.names, ["t.T/Get"])

    def test_not_exported(self) -> None:
        """A build of which no call was exported has no span."""
        self.record(0.0)
        self.take(1, self.recording.root(invocation="x"))
        self.assertEqual(len(self.recording.invocations), 0)


class ServeTests(TracingTestCase):
    def test_what_it_is(self) -> None:
        """A call has its name, when it began, what it is for and where it is counted."""
        self.recording.clock.advance(5)
        call = Call()
        root = self.recording.serve("s.S/M", call, UNCOUNTED, "subject")
        self.assertEqual((root.name, root.started, root.subject), ("s.S/M", 5, "subject"))
        self.assertIs(root.call, call)
        self.assertIs(root.tallies, UNCOUNTED)
