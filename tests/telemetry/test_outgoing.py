"""Tests of gorego_tw.telemetry.outgoing."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import NotFound, Unavailable
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.outgoing import outgoing_call
from gorego_tw.telemetry.span import UPSTREAM, Span
from tests.telemetry.recording import Recording

GIVEN = (("authorization", "key"), ("traceparent", "somebody else's"))


class OutgoingCallTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recording = Recording()
        self.root = self.recording.root()
        current.set(self.root)
        self.addCleanup(current.set, None)

    def span(self) -> Span:
        """That of the call."""
        (span,) = self.root.spans or []
        return span

    def test_grpc(self) -> None:
        """A call is a span of a client, with the attributes for gRPC and the time it took."""
        with outgoing_call("/s.S/Method"):
            self.assertIs(current.get(), self.root)
            self.recording.clock.advance(2)
        span = self.span()
        self.assertEqual((span.name, span.details.kind, span.seconds), ("s.S/Method", "client", 2))
        self.assertEqual(span.details.spent, {UPSTREAM: 2})
        self.assertEqual(
            span.details.attributes,
            {
                "rpc.system": "grpc",
                "rpc.service": "s.S",
                "rpc.method": "Method",
                "rpc.grpc.status_code": 0,
            },
        )

    def test_http(self) -> None:
        """A plain HTTP request is a span without them."""
        with outgoing_call("GET /cas/x"):
            pass
        self.assertEqual(self.span().name, "GET /cas/x")
        self.assertIsNone(self.span().details.attributes)

    def test_metadata(self) -> None:
        """The peer is told of the span in place of any trace that was given."""
        with outgoing_call("/s.S/Method") as out:
            told = out.metadata(GIVEN)
        headers = dict(told)
        self.assertEqual(headers["authorization"], "key")
        self.assertIn(format(self.span().span_id, "016x"), str(headers["traceparent"]))
        self.assertEqual(len([name for name, _ in told if name == "traceparent"]), 1)

    def test_outside(self) -> None:
        """Where nothing is recorded metadata is what was given."""
        current.set(None)
        with outgoing_call("/s.S/Method") as out:
            self.assertEqual(out.metadata(GIVEN), GIVEN)

    def ended_by(self, error: BaseException) -> tuple[object, str, bool]:
        """The code and the words of a call that ends so, and whether its span has ended."""
        self.root.spans = None

        def call() -> None:
            with outgoing_call("/s.S/Method"):
                raise error

        self.assertRaises(type(error), call)
        details = self.span().details
        code = (details.attributes or {})["rpc.grpc.status_code"]
        return code, details.error, self.span().ended is not None

    def test_ends(self) -> None:
        """How the call has ended is told by its code; trouble is an error, and absence is none."""
        self.assertEqual(self.ended_by(Unavailable("down")), (14, "down", True))
        self.assertEqual(self.ended_by(NotFound("no")), (5, "", True))
        self.assertEqual(self.ended_by(GeneratorExit()), (1, "", True))
