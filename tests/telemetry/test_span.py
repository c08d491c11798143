"""Tests of gorego_tw.telemetry.span."""

from __future__ import annotations

import gc

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import NotFound, Unavailable
from gorego_tw.telemetry.span import DISK, MOST_SPANS, UPSTREAM, LocalRoot
from tests.telemetry.recording import Recording


class SpanTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.root = self.recording.root()

    def test_times(self) -> None:
        """A span takes from when it is made to its end, by the recorder's clock."""
        self.recording.clock.advance(1)
        span = self.root.begin("part")
        self.recording.clock.advance(0.25)
        self.assertEqual((span.started, span.seconds), (1, 0.25))
        span.end()
        self.recording.clock.advance(5)
        self.assertEqual(span.seconds, 0.25)

    def test_spent(self) -> None:
        """What a part spends, the request spends; what the request spends, no part does."""
        span = self.root.begin("part")
        span.spend(DISK, 1)
        span.spend(DISK, 2)
        self.root.spend(UPSTREAM, 4)
        self.assertEqual(span.details.spent, {DISK: 3})
        self.assertEqual(self.root.details.spent, {DISK: 3, UPSTREAM: 4})

    def test_parts_of_parts(self) -> None:
        """A part of a part is one of the request."""
        inner = self.root.begin("outer").begin("inner")
        assert inner.parent is not None
        self.assertIs(inner.root, self.root)
        self.assertEqual([span.name for span in self.root.spans or ()], ["outer", "inner"])
        self.assertEqual(inner.parent.name, "outer")

    def test_bound(self) -> None:
        """A request of thousands of blobs does not keep a span for each; it says how many it did not keep."""
        for _ in range(MOST_SPANS + 7):
            self.root.begin("part")
        self.assertEqual(len(self.root.spans or ()), MOST_SPANS)
        self.assertEqual(self.root.details.dropped, 7)

    def test_beyond_the_bound(self) -> None:
        """What is not kept passes for the part of which it is one, to those who are told of it."""
        kept = self.root.begin("kept")
        for _ in range(MOST_SPANS):
            self.root.begin("part")
        inner = kept.begin("not kept").begin("nor this")
        self.assertEqual(inner.context, kept.context)

    def test_ids(self) -> None:
        """Spans of one trace differ in their own numbers, which do not change."""
        first, second = self.root.begin("a").context, self.root.begin("b").context
        self.assertEqual(first.trace_id, second.trace_id)
        self.assertNotEqual(first.span_id, second.span_id)
        self.assertEqual(self.root.context, self.root.context)

    def test_details_are_its_own(self) -> None:
        """What is known of one span is not known of another."""
        self.root.begin("a").set("key", 1)
        self.assertIsNone(self.root.begin("b").details.attributes)

    def test_failure(self) -> None:
        """A span that failed says why, in the words for the client."""
        span = self.root.begin("a")
        span.end_with(Failure(Unavailable("down")))
        self.assertEqual(span.details.error, "down")

    def test_no_failure(self) -> None:
        """To be absent, or not wanted any more, is no failure."""
        for error in (NotFound("no"), CancelledError()):
            span = self.root.begin("a")
            span.end_by(error)
            self.assertEqual(span.details.error, "")
            self.assertEqual(span.details.attributes, {"gorego.outcome": type(error).__name__})

    def test_end_with_a_result(self) -> None:
        """A result that is no Failure is a good end."""
        span = self.root.begin("a")
        span.end_with("result")
        self.assertEqual((span.ended, span.details.error), (0, ""))

    def test_ends_once(self) -> None:
        """A request that ends twice is recorded once."""
        self.root.end()
        self.root.end()
        self.assertEqual(self.recording.exported.names, ["t.T/Get"])

    def test_no_garbage(self) -> None:
        """A request that nobody wants to see goes without the collector of cycles."""
        self.recording.export = None
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = sum(isinstance(o, LocalRoot) for o in gc.get_objects())
        for _ in range(10):
            root = self.recording.root()
            root.begin("part").begin("inner").end()
            root.end()
            del root
        self.assertEqual(sum(isinstance(o, LocalRoot) for o in gc.get_objects()), before)
