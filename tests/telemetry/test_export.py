"""Tests of gorego_tw.telemetry.export."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind, StatusCode
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import InvalidArgument, Unavailable
from gorego_tw.telemetry import export
from gorego_tw.telemetry.export import MOST_WAITING, SpanExport, attributes_of
from gorego_tw.telemetry.span import (
    COALESCED,
    DISK,
    LOCK,
    NETWORK,
    ROOM,
    THREAD_POOL,
    UPSTREAM,
    LocalRoot,
    SpanContext,
    Spent,
)
from tests.telemetry.exporters import FakeExporter
from tests.telemetry.recording import Recording

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def at_once(function: Callable[[], object]) -> Deferred[object]:
    """Runs here what would run in a thread."""
    return maybeDeferred(function)


class ExportTestCase(SynchronousTestCase):
    """Has an export, whose last spans are delivered when it stops."""

    def setUp(self) -> None:
        # Nothing is sent just because a second has passed.
        self.patch(export, "DELAY_SECONDS", 3600.0)
        self.recording = Recording()
        self.collector = FakeExporter()
        self.made = 0
        self.export = SpanExport(
            self.make,
            Resource({"service.name": "gorego"}),
            InstrumentationScope("gorego", "1"),
            address="http://collector:4317",
            in_thread=at_once,
        )
        self.recording.export = self.export

    def make(self) -> FakeExporter:
        """The way to the collector."""
        self.made += 1
        return self.collector

    def start(self) -> None:
        """Begin to export, until the end of the test."""
        for name in (export._EXPORTER, *export._TALKATIVE):
            logger = logging.getLogger(name)
            self.addCleanup(logger.setLevel, logger.level)
        self.export.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """Deliver the last ones."""
        self.collector.open.set()
        self.successResultOf(self.export.stopService())


class LifeTests(ExportTestCase):
    def test_made_at_the_start(self) -> None:
        """The exporter, which has threads, is made when the service starts: a daemon has forked by then."""
        self.assertEqual(self.made, 0)
        self.start()
        self.assertEqual(self.made, 1)

    def test_before(self) -> None:
        """What ends before the start is dropped, and counted."""
        self.recording.root().end()
        self.assertEqual((self.export.dropped, self.export.waiting), (1, 0))
        self.assertEqual((self.export.delivered, self.export.lost), (0, 0))

    def test_flush(self) -> None:
        """What waits is delivered when the service stops; what ends later is dropped."""
        self.start()
        for _ in range(3):
            root = self.recording.root()
            root.begin("part").end()
            root.end()
        self.assertEqual(self.export.waiting, 6)
        self.stop()
        self.assertEqual(len(self.collector.spans), 6)
        self.assertEqual((self.export.delivered, self.export.waiting), (6, 0))
        self.assertTrue(self.collector.is_shut)
        self.recording.root().end()
        self.assertEqual(self.export.dropped, 1)

    def test_flush_of_what_nobody_takes(self) -> None:
        """If the collector refuses, they are lost, which is told once, and the service stops."""
        self.start()
        self.collector.refuses = True
        for _ in range(3 * export.BATCH):
            self.recording.root().end()
        with capturedLogs() as events:
            self.stop()
        self.assertLessEqual(len(events), 1)
        self.assertEqual((self.export.lost, self.export.waiting), (3 * export.BATCH, 0))

    def test_end_of_the_flush(self) -> None:
        """What is not delivered in time is not waited for."""
        self.patch(export, "FLUSH_SECONDS", 0.0)
        self.start()
        for _ in range(10):
            self.recording.root().end()
        with capturedLogs():
            self.stop()
        self.assertEqual((self.collector.tries, self.export.lost), (0, 10))

    def test_stop_without_a_start(self) -> None:
        """A service that did not start stops."""
        self.stop()

    def test_libraries_are_quiet(self) -> None:
        """The SDK's own words, one for each batch or span, are not heard."""
        self.start()
        for name in export._TALKATIVE:
            self.assertFalse(logging.getLogger(name).isEnabledFor(logging.ERROR))
        with self.assertNoLogs():
            logging.getLogger(export._EXPORTER).error("Failed to export")


class RoomTests(ExportTestCase):
    """A collector that takes none, or not as many as there are."""

    def fill(self) -> int:
        """End requests until one is dropped; how many were not."""
        ended = 0
        while not self.export.dropped:
            self.recording.root().end()
            ended += 1
        return ended - 1

    def words(self, event: LogEvent) -> str:
        """Level and message."""
        return f"{event['log_level'].name} {formatEvent(event)}"

    def test_bound(self) -> None:
        """No more than so many spans wait; those beyond are dropped, and counted."""
        self.start()
        self.collector.open.clear()
        with capturedLogs():
            self.assertEqual(self.fill(), MOST_WAITING)
            self.assertFalse(self.export.has_room_for(self.recording.root()))
        self.assertEqual((self.export.dropped, self.export.waiting), (3, MOST_WAITING))

    def test_from_the_beginning(self) -> None:
        """When one was dropped those that begin then are not recorded, but counted, until half of those
        that wait have been delivered.
        """
        self.start()
        self.collector.open.clear()
        with capturedLogs():
            self.fill()
            self.assertFalse(self.recording.root().is_sampled)
            self.assertEqual(self.export.dropped, 2)
            self.collector.open.set()
            self.export._batches.force_flush()  # type: ignore[union-attr]  # it has started
            self.assertTrue(self.recording.root().is_sampled)
        self.assertEqual(self.export.dropped, 2)

    def test_whole_requests(self) -> None:
        """A request is exported with all its spans, or not at all."""
        self.start()
        self.collector.open.clear()
        for _ in range(MOST_WAITING - 1):
            self.recording.root().end()
        root = self.recording.root()
        root.begin("part")
        with capturedLogs():
            self.assertFalse(self.export.has_room_for(root))
        self.assertTrue(self.export.has_room_for(self.recording.root()))

    def test_told_once(self) -> None:
        """That spans are dropped is told once, however often there is room in between."""
        self.start()
        self.collector.open.clear()
        with capturedLogs() as events:
            self.fill()
            for _ in range(100):
                self.recording.root().end()
            self.collector.open.set()
            self.export._batches.force_flush()  # type: ignore[union-attr]  # it has started
            for _ in range(2 * MOST_WAITING):
                self.recording.root().end()
        (words,) = map(self.words, events)
        self.assertTrue(words.startswith("warn there are more spans than are sent"), words)

    def test_told_already(self) -> None:
        """A collector that takes none is told of as such, and not as one that is slow."""
        self.start()
        assert self.export._delivery is not None
        self.export._delivery.failing = True
        self.collector.open.clear()
        with capturedLogs() as events:
            self.fill()
        self.assertEqual(events, [])


class SpansTestCase(ExportTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.start()

    def spans(self) -> dict[str, ReadableSpan]:
        """What has arrived at the collector, by name."""
        self.stop()
        return {span.name: span for span in self.collector.spans}

    def only(self, root: LocalRoot) -> ReadableSpan:
        """What has arrived of that request, which has ended."""
        return self.spans()[root.name]


class ReadableTests(SpansTestCase):
    def test_a_request(self) -> None:
        """A request and its parts are spans of one trace, each with its parent, in the order they began."""
        root = self.recording.root()
        outer = root.begin("outer")
        self.recording.clock.advance(1)
        inner = outer.begin("inner")
        outer.end()
        root.end()
        spans = self.spans()
        self.assertEqual(list(spans), ["t.T/Get", "outer", "inner"])
        contexts = {name: span.context for name, span in spans.items()}
        ids = {context.trace_id for context in contexts.values() if context}
        self.assertEqual(ids, {root.origin.trace_id})
        parents = [span.parent and span.parent.span_id for span in spans.values()]
        self.assertEqual(parents, [None, root.span_id, outer.span_id])
        self.assertEqual(contexts["inner"] and contexts["inner"].span_id, inner.span_id)

    def test_times(self) -> None:
        """Spans are as long as they were, and end now; one that did not end ends with the request."""
        root = self.recording.root()
        self.recording.clock.advance(1)
        root.begin("done").end()
        root.begin("not done")
        self.recording.clock.advance(2)
        before = time_ns()
        root.end()
        after = time_ns()
        spans = self.spans()
        whole = spans["t.T/Get"]
        assert whole.start_time and whole.end_time
        self.assertTrue(before <= whole.end_time <= after)
        self.assertEqual(whole.end_time - whole.start_time, 3_000_000_000)
        for name, seconds in (("done", 0), ("not done", 2)):
            begun, ended = spans[name].start_time, spans[name].end_time
            assert begun and ended
            self.assertEqual(ended - begun, seconds * 1_000_000_000)
            self.assertEqual(begun - whole.start_time, 1_000_000_000)

    def test_kinds(self) -> None:
        """A call is a server's span, what it calls a client's, all others are internal."""
        root = self.recording.root()
        root.begin("call").own.kind = "client"
        root.begin("part")
        root.end()
        kinds = [span.kind for span in self.spans().values()]
        self.assertEqual(kinds, [SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL])

    def test_who_we_are(self) -> None:
        """Each span says which service it is of, and by what it was recorded."""
        root = self.recording.root()
        root.end()
        span = self.only(root)
        self.assertEqual(span.resource.attributes, {"service.name": "gorego"})
        self.assertEqual(span.instrumentation_scope and span.instrumentation_scope.name, "gorego")

    def test_links(self) -> None:
        """Links are links, with their trace."""
        root = self.recording.root()
        root.link(SpanContext(1, 2, True))
        root.end()
        (link,) = self.only(root).links
        self.assertEqual((link.context.trace_id, link.context.span_id), (1, 2))

    def test_a_clients_trace(self) -> None:
        """A call that a client has a span for is a child of that, which is elsewhere."""
        root = self.recording.root(traceparent=TRACEPARENT, tracestate="a=1")
        root.end()
        span = self.only(root)
        assert span.parent is not None and span.context is not None
        self.assertEqual(format(span.context.trace_id, "032x"), TRACEPARENT[3:35])
        self.assertEqual(format(span.parent.span_id, "016x"), TRACEPARENT[36:52])
        self.assertTrue(span.parent.is_remote)
        self.assertEqual(dict(span.context.trace_state), {"a": "1"})

    def test_an_invocation(self) -> None:
        """A call of a build is a child of the build's span, which is not elsewhere."""
        root = self.recording.root(invocation="build")
        root.end()
        self.recording.invocations.end_all()
        spans = self.spans()
        build, call = spans["build invocation"], spans["t.T/Get"]
        assert call.parent is not None and build.context is not None
        self.assertEqual(call.parent.span_id, build.context.span_id)
        self.assertFalse(call.parent.is_remote)
        self.assertIsNone(build.parent)


class StatusTests(SpansTestCase):
    def end_by(self, code: str, error: BaseException) -> ReadableSpan:
        """A call that ends so."""
        root = self.recording.root()
        root.own.code = code
        root.fail(error)
        return self.only(root)

    def test_well(self) -> None:
        """What went well has no status: nobody has judged it."""
        root = self.recording.root()
        root.end()
        self.assertIs(self.only(root).status.status_code, StatusCode.UNSET)

    def test_our_failure(self) -> None:
        """A call that failed is an error, with the words for the client."""
        span = self.end_by("UNAVAILABLE", Unavailable("down"))
        self.assertIs(span.status.status_code, StatusCode.ERROR)
        self.assertEqual(span.status.description, "down")
        self.assertEqual(dict(span.attributes or {})["rpc.grpc.status_code"], 14)

    def test_the_clients(self) -> None:
        """A call that was refused is none of the server's (OpenTelemetry's conventions for gRPC)."""
        span = self.end_by("INVALID_ARGUMENT", InvalidArgument("malformed"))
        self.assertIs(span.status.status_code, StatusCode.UNSET)
        attributes = dict(span.attributes or {})
        self.assertEqual(attributes["rpc.grpc.status_code"], 3)
        self.assertEqual(attributes["gorego.status_message"], "malformed")

    def test_parts(self) -> None:
        """A part that failed is an error, whatever becomes of the call."""
        root = self.recording.root()
        root.begin("part").fail(InvalidArgument("malformed"))
        root.end()
        self.assertIs(self.spans()["part"].status.status_code, StatusCode.ERROR)


class AttributesTests(SynchronousTestCase):
    def attributes(self, change: Callable[[LocalRoot], Any]) -> dict[str, object]:
        """What a request is told by, after a change to it."""
        root = Recording().root()
        change(root)
        return dict(attributes_of(root))

    def test_spent(self) -> None:
        """Each thing that time was spent for is waiting or IO, and says which."""
        kinds: Mapping[Spent, str] = {
            LOCK: "gorego.wait.lock_seconds",
            ROOM: "gorego.wait.room_seconds",
            THREAD_POOL: "gorego.wait.thread_pool_seconds",
            COALESCED: "gorego.wait.coalesced_seconds",
            UPSTREAM: "gorego.wait.upstream_seconds",
            DISK: "gorego.io.disk_seconds",
            NETWORK: "gorego.io.network_seconds",
        }
        for what, key in kinds.items():
            root = Recording().root()
            root.spend(what, 0.25)
            self.assertEqual(attributes_of(root), {key: 0.25})

    def test_sum(self) -> None:
        """What was spent for one thing several times is one number, to the microsecond."""

        def spend(root: LocalRoot) -> None:
            root.begin("part").spend(DISK, 0.1)
            root.spend(DISK, 0.2000001)

        self.assertEqual(self.attributes(spend), {"gorego.io.disk_seconds": 0.3})

    def test_others(self) -> None:
        """Attributes that were set, parts that were not kept, and the status."""

        def change(root: LocalRoot) -> None:
            root.set("key", "value")
            root.own.dropped = 3
            root.own.code = "NOT_FOUND"

        self.assertEqual(
            self.attributes(change),
            {"key": "value", "gorego.spans_not_kept": 3, "rpc.grpc.status_code": 5},
        )

    def test_nothing(self) -> None:
        """Of most spans there is nothing to tell."""
        self.assertEqual(self.attributes(lambda _: None), {})
