"""Tests of gorego_tw.http2.hpack."""

from __future__ import annotations

import contextlib

import hpack as independent
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

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

    def test_too_large_is_no_excuse(self) -> None:
        """A list that is refused has changed the table: what was known before it is not known now."""
        decoder = Decoder(max_list_size=100)
        decoder.decode(b"\x40\x01a\x01b")
        self.assertEqual(decoder.decode(b"\xbe").get(b"a"), b"b")
        self.assertRaises(HeaderListTooLarge, decoder.decode, b"\x40\x01c\x50" + b"v" * 80)
        self.assertRaises(HeaderListTooLarge, decoder.decode, b"\xbe")
        self.assertEqual(decoder.decode(b"\xbf").get(b"a"), b"b")

    def test_too_large_holds_little(self) -> None:
        """A few bytes that refer to a long field ever again do not make a long list of it."""
        decoder = Decoder(max_list_size=1000)
        block = b"\x40\x01a\x7f\x81\x06" + b"v" * 896 + b"\xbe" * 10_000
        entries, size, _ = decoder._entries(block)
        self.assertEqual((len(entries), size), (1, 10_001 * (1 + 896 + 32)))

    def test_long_blocks_are_not_remembered(self) -> None:
        """What is remembered is bounded in number and in bytes."""
        decoder = Decoder()
        long = encode([(b"name", b"v" * 2048)])
        self.assertIsNot(decoder.decode(long), decoder.decode(long))
        blocks = [encode([(b"name", str(number).encode())]) for number in range(300)]
        for block in blocks:
            decoder.decode(block)
        self.assertIs(decoder.decode(blocks[0]), decoder.decode(blocks[0]))
        self.assertIsNot(decoder.decode(blocks[-1]), decoder.decode(blocks[-1]))

    def test_binary_metadata_waits(self) -> None:
        """A Huffman-coded value of a "-bin" name is decoded when asked for, unless the table needs it."""
        coded = independent.Encoder().huffman_coder.encode(b"AAEC")
        value = bytes((0x80 | len(coded),)) + coded
        wrong = b"\x81\x18"  # padding that is not ones
        for prefix in (b"\x00", b"\x10"):
            block = prefix + b"\x05x-bin"
            self.assertEqual(Decoder().decode(block + value).get(b"x-bin"), b"AAEC")
            headers = Decoder().decode(block + wrong + block + value)
            self.assertIsNone(headers.malformed)
            self.assertIsNone(headers.get(b"x-bin"))
            self.assertEqual(list(headers.items()), [(b"x-bin", b"AAEC")])
        self.assertEqual(Decoder().decode(b"\x40\x05x-bin" + value).get(b"x-bin"), b"AAEC")
        self.assertRaises(CompressionError, Decoder().decode, b"\x40\x05x-bin" + wrong)
        self.assertRaises(CompressionError, Decoder().decode, b"\x00\x05x-bon" + wrong)

    def test_long_integers(self) -> None:
        """Indexes beyond the prefix go on in further bytes: a value of the 64th entry, and its field."""
        decoder = Decoder()
        for number in range(80):
            decoder.decode(b"\x40\x02%02d\x01v" % number)
        self.assertEqual(list(decoder.decode(b"\xff\x0e").items()), [(b"00", b"v")])
        self.assertEqual(list(decoder.decode(b"\x0f\x7e\x01w").items()), [(b"00", b"w")])

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
