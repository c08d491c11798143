"""Tests of gorego_tw.remote.bulk.messages."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Unavailable
from gorego_tw.grpc.framing import prefix
from gorego_tw.remote.bulk.messages import Messages, Part
from tests.remote.bulk.stream import message

#: Fields that a ReadResponse does not have: a number, eight bytes, some bytes, none, four bytes.
UNKNOWN = (b"\x08\x96\x01", b"\x11" + bytes(8), b"\x1a\x03abc", b"\x1a\x00", b"\x25" + bytes(4))


def framed(packed: bytes) -> bytes:
    """With its prefix."""
    return prefix(len(packed)) + packed


class MessagesTests(SynchronousTestCase):
    def data_of(self, stream: bytes, room: int = 0, step: int = 1 << 20) -> bytes:
        """The data, where each part is given as it is wanted, in steps of at most so many bytes."""
        messages, found = Messages(), b""
        while stream:
            if messages.part is Part.DATA:
                count = min(messages.left, step, len(stream))
                found += stream[:count]
                messages.data_taken(count)
            else:
                count = min(messages.wanted_bytes(room), step, len(stream))
                found += messages.feed(stream[:count])
            stream = stream[count:]
        self.assertTrue(messages.between)
        return found

    def test_data(self) -> None:
        """The data of all messages, whatever their sizes, and however they come."""
        blobs = [b"", b"a", bytes(127), bytes(128), bytes(20_000), b"", bytes(3_000_000)]
        stream = b"".join(map(message, blobs))
        for room in (0, 1, 3, 4, 100):
            self.assertEqual(self.data_of(stream, room), b"".join(blobs))
        short = b"".join(map(message, blobs[:5]))
        self.assertEqual(self.data_of(short, 4, step=1), b"".join(blobs[:5]))

    @settings(max_examples=50, deadline=None)
    @given(
        st.lists(st.lists(st.one_of(st.sampled_from(UNKNOWN), st.just(b"\x52\x02ab")))),
        st.integers(0, 4),
        st.integers(1, 20),
    )
    def test_unknown_fields(self, fields: list[list[bytes]], room: int, step: int) -> None:
        """What is not known is passed over, wherever it is."""
        stream = b"".join(framed(b"".join(parts)) for parts in fields)
        count = sum(parts.count(b"\x52\x02ab") for parts in fields)
        self.assertEqual(self.data_of(stream, room, step), b"ab" * count)

    def test_head_at_once(self) -> None:
        """Where there is room for what may come with it, the head of a large message is one piece."""
        messages = Messages()
        self.assertEqual(messages.wanted_bytes(4), 9)
        self.assertEqual(messages.feed(message(bytes(20_000))[:9]), b"")
        self.assertEqual((messages.part, messages.left), (Part.DATA, 20_000))

    def test_not_a_message(self) -> None:
        """What is no ReadResponse ends in UNAVAILABLE, at the first byte that cannot be."""
        for packed, tail in (
            (b"\x53", b""),  # a group, which nobody has sent for twenty years
            (b"\x52\x05ab", b""),  # longer than the message
            (b"\x52", b""),  # ends inside of a field
            (b"\x52\x80", b""),  # ends inside of a number
            (b"\x0b", b""),
            (b"\x11\x00", b""),  # eight bytes of which there is one
            (b"\x08" + b"\x80" * 10 + b"\x00", b""),  # a number of more than 64 bits
        ):
            with self.assertRaises(Unavailable, msg=packed):
                self.data_of(framed(packed) + tail)

    def test_compressed(self) -> None:
        """A compressed message is refused: none was asked for."""
        with self.assertRaises(Unavailable) as caught:
            self.data_of(b"\x01\x00\x00\x00\x02ab")
        self.assertIn("compressed", caught.exception.message)

    def test_between(self) -> None:
        """A message that has begun and not ended is told from none."""
        messages = Messages()
        self.assertTrue(messages.between)
        messages.feed(b"\x00")
        self.assertFalse(messages.between)
