"""Tests of gorego_tw.grpc.framing."""

from __future__ import annotations

import gzip

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Internal, ResourceExhausted, Unimplemented
from gorego_tw.grpc.framing import MessageBuffer, checked_encoding, only_message, prefix


def framed(message: bytes) -> bytes:
    return prefix(len(message)) + message


class OnlyMessageTests(SynchronousTestCase):
    def test_one(self) -> None:
        """One plain message and nothing else is that message."""
        self.assertEqual(only_message(prefix(3) + b"abc", 3), b"abc")
        self.assertEqual(only_message(prefix(0), 3), b"")

    def test_anything_else(self) -> None:
        """Less, more, compressed or too large is nothing that is known at once."""
        for data in (
            b"",
            prefix(3),
            prefix(3) + b"ab",
            prefix(3) + b"abcd",
            b"\x01" + prefix(3)[1:] + b"abc",
            prefix(4) + b"abcd",
        ):
            self.assertIsNone(only_message(data, 3), data)


class MessageBufferTests(SynchronousTestCase):
    def test_one_message_in_one_piece(self) -> None:
        """A message that comes whole is given out at once, without its prefix."""
        buffer = MessageBuffer(100, "identity")
        self.assertEqual(list(buffer.feed(framed(b"hello"))), [b"hello"])
        self.assertFalse(buffer.incomplete)

    def test_empty_message(self) -> None:
        """A message of no bytes is a message."""
        self.assertEqual(list(MessageBuffer(100, "identity").feed(framed(b""))), [b""])

    @given(
        st.lists(st.binary(max_size=40), max_size=5),
        st.lists(st.integers(1, 12), min_size=1, max_size=60),
    )
    @settings(max_examples=150, deadline=None)
    def test_any_split_gives_the_same_messages(
        self, messages: list[bytes], cuts: list[int]
    ) -> None:
        """How the bytes are cut into pieces never matters."""
        data = b"".join(map(framed, messages))
        buffer = MessageBuffer(40, "identity")
        got: list[bytes] = []
        at = 0
        while at < len(data):
            step = cuts[at % len(cuts)]
            got.extend(buffer.feed(data[at : at + step]))
            at += step
        self.assertEqual(got, messages)
        self.assertFalse(buffer.incomplete)

    def test_held_bytes(self) -> None:
        """What is held of an incomplete message is counted."""
        buffer = MessageBuffer(100, "identity")
        buffer.feed(framed(b"x" * 50)[:35])
        self.assertEqual(buffer.held_bytes, 30)
        self.assertTrue(buffer.incomplete)

    def test_too_large(self) -> None:
        """A message beyond the limit is refused as soon as its length is known."""
        buffer = MessageBuffer(100, "identity")
        error = self.assertRaises(ResourceExhausted, buffer.feed, prefix(101))
        self.assertEqual(error.message, "a message of 101 bytes; at most 100 bytes are accepted")

    def test_largest(self) -> None:
        """A message of just the limit is taken."""
        message = b"x" * 100
        self.assertEqual(list(MessageBuffer(100, "identity").feed(framed(message))), [message])

    def test_gzip(self) -> None:
        """A compressed message is decompressed."""
        data = gzip.compress(b"hello" * 10)
        buffer = MessageBuffer(100, "gzip")
        fed = buffer.feed(b"\1" + len(data).to_bytes(4, "big") + data)
        self.assertEqual(list(fed), [b"hello" * 10])

    def test_gzip_bomb(self) -> None:
        """The limit counts what comes out of the decompression."""
        data = gzip.compress(bytes(10_000))
        buffer = MessageBuffer(1000, "gzip")
        framed_bomb = b"\1" + len(data).to_bytes(4, "big") + data
        self.assertRaises(ResourceExhausted, buffer.feed, framed_bomb)

    def test_not_gzip(self) -> None:
        """A message that only claims to be compressed is an internal error, as gRPC says."""
        buffer = MessageBuffer(1000, "gzip")
        self.assertRaises(Internal, buffer.feed, b"\1\0\0\0\3abc")

    def test_truncated_gzip(self) -> None:
        """Half a gzip member is no message."""
        data = gzip.compress(b"hello" * 10)[:-6]
        buffer = MessageBuffer(1000, "gzip")
        self.assertRaises(Internal, buffer.feed, b"\1" + len(data).to_bytes(4, "big") + data)

    def test_compressed_without_encoding(self) -> None:
        """The compressed flag without an encoding is an internal error (compression.md)."""
        self.assertRaises(Internal, MessageBuffer(100, "identity").feed, b"\1\0\0\0\0")

    def test_unknown_flag(self) -> None:
        """A flag byte other than 0 and 1 is an error."""
        self.assertRaises(Internal, MessageBuffer(100, "gzip").feed, b"\2\0\0\0\0")


class CheckedEncodingTests(SynchronousTestCase):
    def test_known(self) -> None:
        """Absent means identity; gzip is gzip."""
        self.assertEqual(
            [checked_encoding(n) for n in (None, "identity", "gzip")],
            ["identity", "identity", "gzip"],
        )

    def test_unknown(self) -> None:
        """Any other is UNIMPLEMENTED and the message says what is supported."""
        error = self.assertRaises(Unimplemented, checked_encoding, "snappy")
        self.assertIn("identity and gzip", error.message)
