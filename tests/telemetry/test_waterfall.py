"""Tests of gorego_tw.telemetry.waterfall."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.telemetry.kept import KeptRequest
from gorego_tw.telemetry.span import DISK, UPSTREAM
from gorego_tw.telemetry.waterfall import waterfall
from tests.telemetry.recording import Recording

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class WaterfallTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.root = root = self.recording.root(traceparent=TRACEPARENT)
        clock = self.recording.clock
        clock.advance(0.5)
        self.outer = root.begin("outer")
        clock.advance(0.25)
        self.inner = self.outer.begin("inner")
        self.inner.spend(DISK, 0.125)
        clock.advance(0.125)
        self.inner.fail(OSError("broken"))
        self.outer.set("key", "value")
        self.outer.link(self.recording.root().context)
        self.outer.end()
        root.spend(UPSTREAM, 0.5)
        root.own.code = "INTERNAL"
        root.end()
        self.told = waterfall(KeptRequest(root, 1_700_000_000_500_000_000))

    def test_request(self) -> None:
        """What it was, when, how it ended and in which trace."""
        told = {key: value for key, value in self.told.items() if key != "spans"}
        self.assertEqual(
            told,
            {
                "method": "t.T/Get",
                "started": "2023-11-14T22:13:20.500000+00:00",
                "trace_id": "0af7651916cd43dd8448eb211c80319c",
                "is_exported": True,
                "code": "INTERNAL",
                "spans_not_kept": 0,
            },
        )

    def test_times(self) -> None:
        """Spans are in the order they began, with their times from the beginning and what they spent."""
        told = [
            (span["name"], span["depth"], span["begins_ms"], span["takes_ms"], span["spent_ms"])
            for span in self.told["spans"]
        ]
        self.assertEqual(
            told,
            [
                ("t.T/Get", 0, 0, 875, {"disk": 125, "upstream": 500}),
                ("outer", 1, 500, 375, {}),
                ("inner", 2, 750, 125, {"disk": 125}),
            ],
        )

    def test_relations(self) -> None:
        """Each span names its parent and what it is linked to."""
        whole, outer, inner = self.told["spans"]
        self.assertEqual((whole["parent_id"], outer["parent_id"]), (None, whole["span_id"]))
        self.assertEqual(inner["parent_id"], outer["span_id"])
        self.assertEqual(len(outer["links"]), 1)
        self.assertNotEqual(outer["links"][0]["trace_id"], self.told["trace_id"])

    def test_what_is_known(self) -> None:
        """Attributes and errors are told."""
        _, outer, inner = self.told["spans"]
        self.assertEqual((outer["attributes"], outer["error"]), ({"key": "value"}, ""))
        self.assertEqual(inner["error"], "OSError")
