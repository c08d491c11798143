"""Tests of gorego_tw.remote.status."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Aborted, Code, StatusError, Unavailable
from gorego_tw.remote.status import status_of


def failure(code: StatusCode, text: str = "text", details: bytes | None = None) -> AioRpcError:
    """A failure of grpcio's."""
    trailers = Metadata() if details is None else Metadata(("grpc-status-details-bin", details))
    return AioRpcError(code, Metadata(), trailers, details=text)


def told(*args: object) -> StatusError:
    """What it is to us."""
    return status_of(failure(*args), 5)  # type: ignore[arg-type]


class StatusOfTests(SynchronousTestCase):
    def test_answers(self) -> None:
        """An answer keeps its code; everything else is trouble, and for a client UNAVAILABLE."""
        kept = {code.name for code in StatusCode if told(code).code.name == code.name}
        self.assertEqual(
            kept,
            {
                "ABORTED",
                "ALREADY_EXISTS",
                "DATA_LOSS",
                "FAILED_PRECONDITION",
                "INVALID_ARGUMENT",
                "NOT_FOUND",
                "OUT_OF_RANGE",
                "PERMISSION_DENIED",
                "RESOURCE_EXHAUSTED",
                "UNAUTHENTICATED",
                "UNAVAILABLE",
                "UNIMPLEMENTED",
            },
        )
        others = {told(code).code for code in StatusCode if code.name not in kept}
        self.assertEqual(others, {Code.UNAVAILABLE})

    def test_message(self) -> None:
        """The message says where it was; trouble also says what its code was."""
        self.assertEqual(told(StatusCode.NOT_FOUND).message, "backing cache: text")
        self.assertEqual(told(StatusCode.NOT_FOUND, "").message, "backing cache: NOT_FOUND")
        self.assertEqual(told(StatusCode.INTERNAL).message, "backing cache: INTERNAL: text")

    def test_deadline(self) -> None:
        """Of a deadline the message says how long it was."""
        error = told(StatusCode.DEADLINE_EXCEEDED)
        self.assertIsInstance(error, Unavailable)
        self.assertEqual(error.message, "backing cache: deadline exceeded after 5 s")

    def test_lost_answer(self) -> None:
        """An answer that grpcio lost is no trouble of the peer, and may be asked for again."""
        self.assertIsInstance(told(StatusCode.INTERNAL, "Internal error from Core"), Aborted)

    def test_something_in_between(self) -> None:
        """What answers in plain HTTP is not the peer, whatever code gRPC makes of it."""
        text = "Received http2 header with status: 404"
        self.assertIsInstance(told(StatusCode.UNIMPLEMENTED, text), Unavailable)
        self.assertIsInstance(told(StatusCode.PERMISSION_DENIED, text), Unavailable)

    def test_details(self) -> None:
        """Details that are known travel on; others, and what is malformed, are left out."""
        detail, status = RetryInfo(retry_delay=Duration(seconds=3)), Status(code=8)
        status.details.add().Pack(detail)
        status.details.add(type_url="type.example/unknown.Thing", value=b"?")
        status.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff")
        error = told(StatusCode.RESOURCE_EXHAUSTED, "full", status.SerializeToString())
        self.assertEqual(error.details, (detail,))
        self.assertEqual(told(StatusCode.ABORTED, "x", b"\xff\xff").details, ())
