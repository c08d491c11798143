"""Tests of gorego_tw.http2.headers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.http2.header_table import entry_of
from gorego_tw.http2.headers import Headers

PSEUDO = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a/B"))


def headers(*fields: tuple[bytes, bytes]) -> Headers:
    """The list of ``fields``."""
    return Headers([entry_of(*field) for field in fields])


class HeadersTests(SynchronousTestCase):
    def test_request(self) -> None:
        """A request has its pseudo-headers as attributes; :authority may be missing."""
        request = headers(*PSEUDO, (b":authority", b"here"), (b"content-length", b"5"))
        self.assertTrue(request.is_request)
        self.assertEqual(
            (request.method, request.scheme, request.path, request.authority),
            (b"POST", b"http", b"/a/B", b"here"),
        )
        self.assertEqual(request.content_length, 5)
        self.assertEqual(headers(*PSEUDO).authority, b"")
        self.assertIsNone(headers(*PSEUDO).content_length)

    def test_fields(self) -> None:
        """Regular fields keep their order; the first of a name is what get gives."""
        fields = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
        request = headers(*PSEUDO, *fields)
        self.assertEqual(list(request.items()), fields)
        self.assertEqual(request.get(b"a"), b"1")
        self.assertEqual(request.get_all(b"a"), [b"1", b"3"])
        self.assertIsNone(request.get(b"c"))
        self.assertIsNone(request.get(b":path"))

    def test_trailers(self) -> None:
        """A list without pseudo-headers is fine, but no request."""
        trailers = headers((b"a", b"1"))
        self.assertFalse(trailers.is_request)
        self.assertIsNone(trailers.malformed)

    def test_malformed(self) -> None:
        """A list that no request may have says why, and is no request."""
        for fields in (
            PSEUDO[1:],
            (*PSEUDO, PSEUDO[0]),
            ((b"a", b"1"), *PSEUDO),
            (*PSEUDO, (b"A", b"1")),
            (*PSEUDO, (b"content-length", b"x")),
        ):
            request = headers(*fields)
            self.assertIsNotNone(request.malformed, fields)
            self.assertFalse(request.is_request)

    def test_memo(self) -> None:
        """There is room for what the layer above derives."""
        request = headers(*PSEUDO)
        self.assertIsNone(request.memo)
        request.memo = "derived"
        self.assertEqual(request.memo, "derived")
