"""Tests of gorego_tw.remote.bulk.answer."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import (
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    StatusError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from gorego_tw.grpc.status import trailers
from gorego_tw.http2.errors import ErrorCode
from gorego_tw.http2.hpack import Decoder
from gorego_tw.remote.bulk.answer import is_informational, outcome, refusal, reset

START = [(b":status", b"200"), (b"content-type", b"application/grpc+proto")]


def told(error: StatusError) -> StatusError | None:
    """What is understood of the trailers that our server writes of a failure."""
    return outcome(Decoder().fields(trailers(error)))


class AnswerTests(SynchronousTestCase):
    def test_ok(self) -> None:
        """Status 0 is no failure."""
        self.assertIsNone(outcome([(b"grpc-status", b"0")]))

    def test_failure(self) -> None:
        """Code, message and details come through."""
        detail = RetryInfo(retry_delay=Duration(seconds=7))
        failure = told(ResourceExhausted("zu voll: ä %", detail))
        assert isinstance(failure, ResourceExhausted)
        self.assertEqual(failure.message, "backing cache: zu voll: ä %")
        self.assertEqual(failure.details, (detail,))

    def test_trouble(self) -> None:
        """A status that is none, and none at all, are trouble."""
        for fields in ([], [(b"grpc-status", b"x")], [(b"grpc-status", b"77")]):
            self.assertIsInstance(outcome(fields), Unavailable)

    def test_details_that_are_none(self) -> None:
        """Details that cannot be read are left out."""
        for value in (b"!", b"aGVsbG8"):
            failure = outcome([(b"grpc-status", b"5"), (b"grpc-status-details-bin", value)])
            assert isinstance(failure, NotFound)
            self.assertEqual(failure.details, ())

    def test_http(self) -> None:
        """What is not gRPC's is understood by its HTTP status."""
        for status, kind in (
            (b"401", Unauthenticated),
            (b"403", PermissionDenied),
            (b"404", Unimplemented),
            (b"503", Unavailable),
            (b"500", Unavailable),
            (b"", Unavailable),
        ):
            self.assertIsInstance(refusal([(b":status", status)]), kind)
        self.assertIsNone(refusal(START))
        self.assertIsNone(refusal([(b":status", b"503"), (b"grpc-status", b"5")]))

    def test_content_type(self) -> None:
        """A page is no answer."""
        failure = refusal([START[0], (b"content-type", b"text/html")])
        self.assertIn("'text/html'", str(failure))

    def test_informational(self) -> None:
        """1xx comes before the headers."""
        self.assertTrue(is_informational([(b":status", b"103")]))
        self.assertFalse(is_informational(START))

    def test_reset(self) -> None:
        """RST_STREAM means what gRPC says, and its number is told if it has no name."""
        self.assertIsInstance(reset(ErrorCode.ENHANCE_YOUR_CALM), ResourceExhausted)
        self.assertIsInstance(reset(ErrorCode.INADEQUATE_SECURITY), PermissionDenied)
        self.assertIsInstance(reset(ErrorCode.REFUSED_STREAM), Unavailable)
        self.assertIn("the stream was reset: 99", reset(99).message)
