"""Tests of gorego_tw.grpc.status."""

from __future__ import annotations

from google.rpc import error_details_pb2
from hpack import Decoder
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import InvalidArgument, NotFound
from gorego_tw.grpc.status import (
    MAX_MESSAGE_BYTES,
    OK_TRAILERS,
    RESPONSE_HEADERS,
    percent_encoded,
    trailers,
    trailers_only,
)


def fields(block: bytes) -> dict[str, str]:
    return {str(name): str(value) for name, value in Decoder().decode(block)}


class PercentEncodedTests(SynchronousTestCase):
    def test_printable(self) -> None:
        """Printable ASCII stays as it is, but for the per cent sign."""
        self.assertEqual(percent_encoded("a b~!/%"), b"a b~!/%25")

    def test_others(self) -> None:
        """Line ends and UTF-8 become %XX."""
        self.assertEqual(percent_encoded("\né"), b"%0A%C3%A9")

    def test_cut(self) -> None:
        """A long message is cut, since old clients take 8 KiB of headers in all."""
        self.assertEqual(len(percent_encoded("x" * 9000)), MAX_MESSAGE_BYTES)

    def test_unencodable(self) -> None:
        """A lone surrogate is replaced, not raised."""
        self.assertEqual(percent_encoded("\ud800"), b"?")


class BlockTests(SynchronousTestCase):
    def test_response_headers(self) -> None:
        """An answer opens with 200, the content type and the encodings accepted."""
        self.assertEqual(
            fields(RESPONSE_HEADERS),
            {
                ":status": "200",
                "content-type": "application/grpc",
                "grpc-accept-encoding": "identity,gzip",
            },
        )

    def test_ok(self) -> None:
        """OK is status 0 without a message."""
        self.assertEqual(fields(OK_TRAILERS), {"grpc-status": "0"})

    def test_trailers(self) -> None:
        """A failure's trailers are code and message."""
        self.assertEqual(
            fields(trailers(NotFound("gone"))), {"grpc-status": "5", "grpc-message": "gone"}
        )

    def test_trailers_only(self) -> None:
        """A failure before anything else carries the headers too."""
        block = fields(trailers_only(InvalidArgument("bad")))
        self.assertEqual((block[":status"], block["grpc-status"]), ("200", "3"))

    def test_huge_details(self) -> None:
        """Details that would not fit in a client's header limit are left out."""
        detail = error_details_pb2.ErrorInfo(reason="x" * 9000)
        self.assertNotIn("grpc-status-details-bin", fields(trailers(NotFound("gone", detail))))
