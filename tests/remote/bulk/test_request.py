"""Tests of gorego_tw.remote.bulk.request."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.http2.hpack import Decoder
from gorego_tw.remote.bulk.request import header_block


class RequestTests(SynchronousTestCase):
    def test_headers(self) -> None:
        """A server takes them for a call, with its metadata; what is binary as base64."""
        block = header_block(
            "/a.B/C", "here:1", (("own", "mine"), ("some-bin", b"\x00\xff\x01\x02"))
        )
        headers = Decoder().decode(block)
        self.assertIsNone(headers.malformed)
        self.assertEqual((headers.method, headers.path), (b"POST", b"/a.B/C"))
        self.assertEqual((headers.scheme, headers.authority), (b"http", b"here:1"))
        self.assertEqual(
            dict(headers.items()),
            {
                b"te": b"trailers",
                b"content-type": b"application/grpc",
                b"user-agent": b"gorego",
                b"own": b"mine",
                b"some-bin": b"AP8BAg",
            },
        )
