"""Tests of gorego_tw.grpc.metadata."""

from __future__ import annotations

from base64 import b64encode

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import InvalidArgument
from gorego_tw.grpc.metadata import decode_binary, parse_timeout


class ParseTimeoutTests(SynchronousTestCase):
    def test_every_unit(self) -> None:
        """Hours to nanoseconds; Bazel sends microseconds."""
        for value, seconds in (
            (b"2H", 7200.0),
            (b"3M", 180.0),
            (b"4S", 4.0),
            (b"5m", 0.005),
            (b"59990556u", 59.990556),
            (b"7n", 7e-9),
        ):
            self.assertAlmostEqual(parse_timeout(value), seconds)

    def test_malformed(self) -> None:
        """Anything else is INVALID_ARGUMENT."""
        for value in (b"", b"S", b"5", b"5s", b"-1S", b"123456789S", b"1.5S", b"\xb2S"):
            self.assertRaises(InvalidArgument, parse_timeout, value)


class DecodeBinaryTests(SynchronousTestCase):
    def test_with_and_without_padding(self) -> None:
        """Both forms of base64 are in use."""
        for data in (b"", b"a", b"ab", b"abc", bytes(range(256))):
            padded = b64encode(data)
            self.assertEqual(decode_binary(padded), data)
            self.assertEqual(decode_binary(padded.rstrip(b"=")), data)

    def test_malformed(self) -> None:
        """What is not base64 is None, never an exception."""
        for value in (b"a", b"!!!!", b"\xff\xfe", b"ab=c"):
            self.assertIsNone(decode_binary(value))
