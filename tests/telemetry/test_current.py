"""Tests of gorego_tw.telemetry.current."""

from __future__ import annotations

from contextvars import copy_context

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Unavailable
from gorego_tw.telemetry.context import detached
from gorego_tw.telemetry.current import begin, current, current_ids, enter, recorded, spend
from gorego_tw.telemetry.span import DISK, LocalRoot
from tests.telemetry.recording import Recording


class CurrentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.root = self.recording.root()
        self.addCleanup(current.set, None)

    def test_nothing_is_recorded(self) -> None:
        """Outside of a request there is no span, and nothing fails for that."""
        self.assertIsNone(begin("a"))
        self.assertIsNone(current_ids())
        spend(DISK, 1)
        with recorded("a") as span:
            self.assertIsNone(span)

    def test_part(self) -> None:
        """What begins in a request is a part of the current span."""
        current.set(self.root)
        with recorded("outer") as outer, recorded("inner") as inner:
            assert inner is not None
            self.assertIs(inner.parent, outer)
            spend(DISK, 1)
        self.assertIs(current.get(), self.root)
        self.assertEqual(inner.details.spent, {DISK: 1})

    def test_failure(self) -> None:
        """A block that fails is a span that failed, and the one before is current again."""
        current.set(self.root)

        def fail() -> None:
            with recorded("a"):
                raise Unavailable("down")

        self.assertRaises(Unavailable, fail)
        errors = [span.details.error for span in self.root.spans or ()]
        self.assertEqual(errors, ["down"])
        self.assertIs(current.get(), self.root)

    def test_ids(self) -> None:
        """The numbers are those that the collector gets."""
        current.set(span := self.root.begin("a"))
        context = span.context
        self.assertEqual(
            current_ids(), (format(context.trace_id, "032x"), format(context.span_id, "016x"))
        )

    def test_cause(self) -> None:
        """Work that outlives the request is of its trace, a child of what began it, and a root of its own."""
        current.set(span := self.root.begin("a"))
        work = detached().run(begin, "work")
        assert isinstance(work, LocalRoot)
        self.assertEqual(work.origin.trace_id, self.root.origin.trace_id)
        self.assertEqual(work.origin.parent_id, span.span_id)
        self.assertEqual(work.is_sampled, self.root.is_sampled)

    def test_cause_of_a_cause(self) -> None:
        """What is begun by such work before it has a span of its own has the same cause."""
        current.set(self.root)
        again = detached().run(detached)
        work = again.run(enter, "work")
        assert work is not None
        self.assertEqual(work.root.origin.parent_id, self.root.span_id)
        self.assertIs(again.run(current.get), work)

    def test_not_inherited(self) -> None:
        """A span that is made current in one context is not in another."""
        copy_context().run(current.set, self.root)
        self.assertIsNone(current.get())
