"""Tests of gorego_tw.http2.header_rules."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.http2 import header_rules
from gorego_tw.http2.header_rules import (
    Kind,
    MalformedHeaders,
    check_request,
    content_length,
    kind_of,
    reason_of,
)


class KindTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """Each field is what RFC 9113 sections 8.2 and 8.3 make of it, however often it is looked at."""
        for name, value, kind in (
            (b"name", b"value", Kind.REGULAR),
            (b"name", b"", Kind.REGULAR),
            (b"te", b"trailers", Kind.REGULAR),
            (b":path", b"/", Kind.PSEUDO),
            (b"content-length", b"1", Kind.CONTENT_LENGTH),
            (b"Name", b"value", Kind.NO_NAME),
            (b"", b"value", Kind.NO_NAME),
            (b"na me", b"value", Kind.NO_NAME),
            (b"na:me", b"value", Kind.NO_NAME),
            (b"n\xc3\xa4me", b"value", Kind.NO_NAME),
            (b":status", b"200", Kind.UNKNOWN_PSEUDO),
            (b":", b"", Kind.UNKNOWN_PSEUDO),
            (b"connection", b"close", Kind.CONNECTION_SPECIFIC),
            (b"te", b"gzip", Kind.NOT_TRAILERS),
            (b"name", b"a\rb", Kind.NO_VALUE),
            (b"name", b"a\nb", Kind.NO_VALUE),
            (b"name", b"a\0b", Kind.NO_VALUE),
        ):
            for _ in range(2):
                self.assertIs(kind_of(name, value), kind, (name, value))

    def test_every_wrong_kind_has_its_reason(self) -> None:
        """Whoever is refused is told why."""
        fine = {Kind.REGULAR, Kind.PSEUDO, Kind.CONTENT_LENGTH, Kind.CODED}
        self.assertTrue(all(reason_of(kind) for kind in set(Kind) - fine))

    def test_memory_is_bounded(self) -> None:
        """However many names come, and however long ones, what is remembered stays bounded."""
        for number in range(3000):
            kind_of(f"name-{number}".encode(), b"")
        kind_of(b"n" * 1000, b"")
        self.assertLessEqual(len(header_rules._kinds), header_rules._MAX_NAMES)
        self.assertLessEqual(max(map(len, header_rules._kinds)), header_rules._MAX_NAME_BYTES)


class RequestTests(SynchronousTestCase):
    def test_needed(self) -> None:
        """Method, scheme and path are needed, and not empty."""
        good = {b":method": b"GET", b":scheme": b"http", b":path": b"/"}
        check_request(good)
        for name in good:
            self.assertRaises(MalformedHeaders, check_request, {**good, name: b""})
            rest = {other: value for other, value in good.items() if other != name}
            self.assertRaises(MalformedHeaders, check_request, rest)

    def test_content_length(self) -> None:
        """It is a number that can be meant, and the same if it is there twice."""
        self.assertEqual(content_length(b"12", None), 12)
        self.assertEqual(content_length(b"12", 12), 12)
        for value, known in (
            (b"", None),
            (b"-1", None),
            (b"1, 1", None),
            (b"1", 2),
            (b"9" * 19, None),
            (b"9" * 5000, None),  # more than int() takes
        ):
            self.assertRaises(MalformedHeaders, content_length, value, known)
