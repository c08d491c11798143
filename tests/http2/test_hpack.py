"""Tests of gorego_tw.http2.hpack, and of the Huffman code and tables below it."""

from __future__ import annotations

import contextlib

import hpack as independent
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.http2 import huffman
from gorego_tw.http2.header_table import DynamicTable
from gorego_tw.http2.hpack import CompressionError, Decoder, HeaderListTooLarge, encode

PSEUDO = [(":method", "POST"), (":scheme", "http"), (":path", "/a"), (":authority", "x")]

names = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True).filter(
    lambda name: (
        name
        not in {"te", "connection", "keep-alive", "upgrade", "transfer-encoding", "content-length"}
    )
)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
fields = st.lists(st.tuples(names, values), max_size=8)


class DecoderTests(SynchronousTestCase):
    def test_rfc_7541_c_4(self) -> None:
        """The three requests of appendix C.4, Huffman-coded, on one table."""
        decoder = Decoder()
        for block, regular in (
            ("828684418cf1e3c2e5f23a6ba0ab90f4ff", []),
            ("828684be5886a8eb10649cbf", [(b"cache-control", b"no-cache")]),
            (
                "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
                [(b"custom-key", b"custom-value")],
            ),
        ):
            headers = decoder.decode(bytes.fromhex(block))
            self.assertEqual(headers.authority, b"www.example.com")
            self.assertEqual(list(headers.items()), regular)

    def test_rfc_7541_c_3(self) -> None:
        """The first two requests of appendix C.3, without Huffman."""
        decoder = Decoder()
        first = bytes.fromhex("828684410f7777772e6578616d706c652e636f6d")
        self.assertEqual(decoder.decode(first).authority, b"www.example.com")
        second = decoder.decode(bytes.fromhex("828684be58086e6f2d6361636865"))
        self.assertEqual(second.get(b"cache-control"), b"no-cache")

    @given(st.lists(fields, min_size=1, max_size=12), st.booleans())
    @settings(max_examples=80, deadline=None)
    def test_independent_encoder(self, lists: list[list[tuple[str, str]]], huffman: bool) -> None:
        """What the hpack library encodes, block after block with its table, comes out the same."""
        encoder, decoder = independent.Encoder(), Decoder()
        for regular in lists:
            block = encoder.encode(PSEUDO + regular, huffman=huffman)
            headers = decoder.decode(block)
            self.assertEqual(
                [(n.decode(), v.decode()) for n, v in headers.items()], regular, headers.malformed
            )

    def test_known_block(self) -> None:
        """The same bytes give the same object while the table is unchanged, and only then."""
        decoder = Decoder()
        block = encode([(n.encode(), v.encode()) for n, v in PSEUDO])
        headers = decoder.decode(block)
        self.assertIs(decoder.decode(block), headers)
        decoder.decode(block + b"\x40\x01a\x01b")
        self.assertIsNot(decoder.decode(block), headers)

    def test_not_a_block(self) -> None:
        """Truncated, out of range, endless: each is a compression error."""
        for block in (
            b"\x80",  # index 0
            b"\xff\x80",  # an integer that stops
            b"\xff\xff\xff\xff\xff\xff\x0f",  # one that is too long
            b"\xbe",  # an entry the table does not have
            b"\x40\x01a\x7f",  # a string that stops
            b"\x40\x05a",
            b"\x82\x3f\xe1\x1f",  # a size update after a field
            b"\x3f\xe2\x1f",  # a table larger than allowed
            b"\x00\x81\xff\x00",  # Huffman padding of eight bits
        ):
            self.assertRaises(CompressionError, Decoder().decode, block)

    def test_too_large(self) -> None:
        """A list beyond the limit is refused, and the table is kept up all the same."""
        decoder = Decoder(max_list_size=100)
        self.assertRaises(HeaderListTooLarge, decoder.decode, b"\x40\x01a\x78" + b"v" * 120)
        self.assertRaises(HeaderListTooLarge, decoder.decode, b"\xbe")

    @given(st.binary(max_size=60))
    @settings(max_examples=300, deadline=None)
    def test_total(self, block: bytes) -> None:
        """Any bytes are a list of headers or one of two errors."""
        decoder = Decoder()
        with contextlib.suppress(CompressionError, HeaderListTooLarge):
            decoder.decode(block)


class EncodeTests(SynchronousTestCase):
    @given(fields)
    @settings(max_examples=80, deadline=None)
    def test_independent_decoder(self, regular: list[tuple[str, str]]) -> None:
        """What we encode the hpack library decodes."""
        block = encode([(n.encode(), v.encode()) for n, v in regular])
        self.assertEqual(
            [(str(n), str(v)) for n, v in independent.Decoder().decode(block)], regular
        )

    def test_static(self) -> None:
        """A field of the static table is one byte."""
        self.assertEqual(encode([(b":status", b"200")]), b"\x88")

    def test_long_value(self) -> None:
        """Lengths beyond seven bits go on in further bytes."""
        value = b"v" * 5000
        decoded = independent.Decoder().decode(encode([(b"name", value)]), raw=True)
        self.assertEqual([tuple(pair) for pair in decoded], [(b"name", value)])


class HuffmanTests(SynchronousTestCase):
    @given(st.binary(max_size=80))
    @settings(max_examples=200, deadline=None)
    def test_round_trip(self, data: bytes) -> None:
        """What an independent coder codes comes back."""
        from hpack.huffman import HuffmanEncoder
        from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

        coded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(data)
        self.assertEqual(huffman.decode(coded), data)

    def test_malformed(self) -> None:
        """Padding of more than seven bits or of zeros, and the end symbol, are errors (5.2)."""
        for data in (b"\xff", b"\xf8\xff", b"\x18", b"\xff\xff\xff\xff"):
            self.assertRaises(huffman.HuffmanError, huffman.decode, data)

    def test_memory_is_bounded(self) -> None:
        """However many strings come, what is remembered stays bounded."""
        for number in range(3000):
            digits = f"{number:04}"
            huffman.decode(independent.Encoder().huffman_coder.encode(digits.encode()))
        self.assertLessEqual(len(huffman._remembered), huffman._MAX_REMEMBERED)


class DynamicTableTests(SynchronousTestCase):
    def test_eviction(self) -> None:
        """The oldest entries leave when the bound is reached (RFC 7541 section 4.4)."""
        table = DynamicTable(100)
        for name in (b"a", b"b", b"c"):
            table.add((name, b"v" * 10))
        self.assertEqual([table[i][0] for i in range(len(table))], [b"c", b"b"])
        self.assertEqual(table.size, 2 * (1 + 10 + 32))

    def test_too_large_an_entry(self) -> None:
        """An entry larger than the table empties it and is not kept."""
        table = DynamicTable(100)
        table.add((b"a", b"b"))
        table.add((b"a", b"v" * 100))
        self.assertEqual((len(table), table.size), (0, 0))

    def test_resize(self) -> None:
        """A smaller bound evicts; a larger one than ours is refused."""
        table = DynamicTable(100)
        table.add((b"a", b"b"))
        table.resize(0)
        self.assertEqual(len(table), 0)
        self.assertRaises(ValueError, table.resize, 101)
