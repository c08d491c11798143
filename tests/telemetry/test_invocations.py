"""Tests of gorego_tw.telemetry.invocations."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.invocations import MOST, SILENT_SECONDS, Invocations
from gorego_tw.telemetry.span import LocalRoot
from tests.telemetry.recording import Recording


class InvocationsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.taken: list[LocalRoot] = []
        self.invocations = Invocations(self.recording, self.taken.append)

    def call(self, invocation: str, seconds: float = 0, **attributes: str) -> LocalRoot:
        """A call of that invocation, which has taken so long."""
        root = self.recording.root(invocation=invocation)
        self.recording.clock.advance(seconds)
        root.ended = self.recording.now()
        for key, value in attributes.items():
            root.set(f"reapi.tool.{key}", value)
        self.invocations.note(root)
        return root

    def test_as_long_as_its_calls(self) -> None:
        """The span is from the beginning of the first call to the end of the last one."""
        self.recording.clock.advance(3)
        self.call("a", 1)
        self.recording.clock.advance(5)
        last = self.call("a", 2)
        self.invocations.end_all()
        (root,) = self.taken
        self.assertEqual((root.started, root.ended), (3, last.ended))
        self.assertEqual((root.details.attributes or {})["gorego.calls"], 2)

    def test_a_longer_call(self) -> None:
        """A call that ends later may have begun first."""
        long = self.recording.root(invocation="a")
        self.recording.clock.advance(1)
        self.call("a", 1)
        long.ended = self.recording.now()
        self.invocations.note(long)
        self.invocations.end_all()
        self.assertEqual(self.taken[0].started, 0)

    def test_its_place(self) -> None:
        """It is the parent of its calls, and has none."""
        span_id = self.invocations.span_id("a")
        origin = self.call("a").origin
        self.invocations.end_all()
        (root,) = self.taken
        self.assertEqual(root.span_id, span_id)
        self.assertEqual((root.origin.trace_id, root.origin.parent_id), (origin.trace_id, None))

    def test_named_by_its_tool(self) -> None:
        """The tool gives it its name."""
        self.call("a", name="bazel", version="7.1")
        self.call("b")
        self.invocations.end_all()
        self.assertEqual(
            [root.name for root in self.taken], ["bazel invocation", "build invocation"]
        )
        told = self.taken[0].details.attributes or {}
        self.assertEqual(
            (told["reapi.tool.version"], told["reapi.tool_invocation_id"]), ("7.1", "a")
        )

    def test_silence(self) -> None:
        """One that was silent for a while is over, and others are not; what comes later is another span."""
        self.call("a")
        self.recording.clock.advance(SILENT_SECONDS - 1)
        self.call("b")
        self.invocations.look()
        self.assertEqual(self.taken, [])
        self.recording.clock.advance(1)
        self.invocations.look()
        self.assertEqual(len(self.taken), 1)
        self.assertEqual(len(self.invocations), 1)
        self.call("a")
        self.assertEqual(len(self.invocations), 2)

    def test_going_on(self) -> None:
        """One that goes on after a silence has another span in the same trace, of which its calls are parts."""
        self.call("a")
        self.recording.clock.advance(SILENT_SECONDS)
        self.invocations.look()
        self.call("a")
        self.invocations.end_all()
        first, second = self.taken
        self.assertEqual(first.origin.trace_id, second.origin.trace_id)
        self.assertNotEqual(first.span_id, second.span_id)

    def test_bound(self) -> None:
        """However many there are, memory is bounded: the one that was silent for longest is over."""
        self.call("first")
        self.call("second")
        self.call("first")
        for n in range(MOST - 1):
            self.call(str(n))
        self.assertEqual(len(self.invocations), MOST)
        (root,) = self.taken
        self.assertEqual((root.details.attributes or {})["reapi.tool_invocation_id"], "second")

    def test_two_daemons(self) -> None:
        """Two daemons that serve one build do not give their spans one number."""
        other = Invocations(self.recording, self.taken.append)
        self.assertNotEqual(self.invocations.span_id("a"), other.span_id("a"))
