"""Tests of gorego_tw.http2.huffman."""

from __future__ import annotations

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.http2 import huffman
from gorego_tw.http2.huffman import CodedValue, HuffmanError, decode

ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


class HuffmanTests(SynchronousTestCase):
    @given(st.binary(max_size=80))
    @settings(max_examples=200, deadline=None)
    def test_round_trip(self, data: bytes) -> None:
        """What an independent coder codes comes back."""
        self.assertEqual(decode(ENCODER.encode(data)), data)

    def test_every_symbol(self) -> None:
        """Each of the 256 symbols has its codeword."""
        data = bytes(range(256))
        self.assertEqual(decode(ENCODER.encode(data)), data)

    def test_malformed(self) -> None:
        """Padding of more than seven bits or of zeros, and the end symbol, are errors (5.2)."""
        for data in (b"\xff", b"\xf8\xff", b"\x18", b"\xff\xff\xff\xff", b"\xff" * 20):
            self.assertRaises(HuffmanError, decode, data)

    def test_memory_is_bounded(self) -> None:
        """However many strings come, and however long ones, what is remembered stays bounded."""
        for number in range(3000):
            decode(ENCODER.encode(f"{number:04}".encode()))
        decode(ENCODER.encode(b"a" * 1000))
        self.assertLessEqual(len(huffman._remembered), huffman._MAX_REMEMBERED)
        self.assertLessEqual(max(map(len, huffman._remembered)), huffman._MAX_REMEMBERED_BYTES)


class CodedValueTests(SynchronousTestCase):
    def test_decoded(self) -> None:
        """It gives the value as often as it is asked, None for what is no code."""
        value = CodedValue(ENCODER.encode(b"AAEC"))
        self.assertEqual([value.decoded(), value.decoded()], [b"AAEC", b"AAEC"])
        self.assertIsNone(CodedValue(b"\xff").decoded())
