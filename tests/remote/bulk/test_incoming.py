"""Tests of gorego_tw.remote.bulk.incoming."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import NotFound, Unavailable
from gorego_tw.grpc.status import trailers, trailers_only
from gorego_tw.http2 import hpack
from gorego_tw.http2.errors import ConnectionViolation
from gorego_tw.http2.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PADDED,
    PRIORITY_FLAG,
    FrameType,
    frame,
)
from gorego_tw.remote.bulk.incoming import MAX_FRAME_BYTES
from tests.remote.bulk.stream import (
    OK,
    RESPONSE,
    SETTINGS,
    WINDOW,
    answer,
    asked,
    cut,
    data,
    headers,
    landed,
    message,
    padded,
)

PING = frame(FrameType.PING, 0, 0, b"12345678")
UNKNOWN = frame(99, 0, 7, b"whatever")
CONTINUED = frame(FrameType.HEADERS, END_STREAM, 1, OK[:3]) + frame(
    FrameType.CONTINUATION, END_HEADERS, 1, OK[3:]
)


class DataTests(SynchronousTestCase):
    def test_one_message(self) -> None:
        """The data of a message is where there is room, and the call ends well."""
        incoming, _ = asked()
        self.assertEqual(landed(incoming, answer(message(b"hello"))), b"hello")
        self.assertTrue(incoming.ended)
        self.assertIsNone(incoming.failure)

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(st.binary(max_size=300), max_size=5),
        st.integers(1, 400),
        st.lists(st.integers(1, 60), max_size=200),
        st.integers(1, 500),
    )
    def test_however_it_comes(
        self, blobs: list[bytes], frame_bytes: int, sizes: list[int], room: int
    ) -> None:
        """Frames of any size, however they are cut, with whatever between them, give the data in order."""
        body = b"".join(map(message, blobs))
        frames = [PING + data(piece) + UNKNOWN for piece in cut(body, frame_bytes)]
        stream = SETTINGS + headers() + b"".join(frames) + padded(b"", 9) + CONTINUED
        incoming, queue = asked()
        self.assertEqual(landed(incoming, stream, sizes, room), b"".join(blobs))
        self.assertEqual((incoming.ended, incoming.failure), (True, None))
        self.assertEqual(b"".join(queue.take()).count(b"12345678"), len(frames))

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 255), st.integers(1, 80), st.lists(st.integers(1, 40), max_size=60))
    def test_padding(self, padding: int, room: int, sizes: list[int]) -> None:
        """Padding is no data, wherever in a message it comes."""
        body = message(b"abc" * 50)
        frames = b"".join(padded(piece, padding) for piece in cut(body, 70))
        incoming, _ = asked()
        stream = SETTINGS + headers() + frames + headers(OK, end=True)
        self.assertEqual(landed(incoming, stream, sizes, room), b"abc" * 50)

    def test_no_room(self) -> None:
        """Without room nothing is asked of the socket, once there is data."""
        incoming, _ = asked()
        landed(incoming, SETTINGS + headers() + data(message(bytes(50)))[:-20])
        incoming.take()
        self.assertEqual(incoming.buffers(), [])

    def test_taken_before_a_message(self) -> None:
        """When what came was taken, and a message begins next, its head alone is asked of the socket."""
        incoming, _ = asked()
        incoming.give(memoryview(bytearray(100)))
        stream = SETTINGS + headers() + data(message(bytes(50))) + data(message(bytes(50)))[:9]
        while stream:
            count = len(incoming.buffers()[0])
            incoming.buffers()[0][:count] = stream[:count]
            incoming.received(count)
            stream = stream[count:]
        self.assertEqual(len(incoming.take()), 50)
        self.assertEqual([len(buffer) for buffer in incoming.buffers()], [5])

    def test_header_taken_along(self) -> None:
        """The header of the next frame comes with the rest of a frame: one call of the kernel for each."""
        incoming, _ = asked()
        body = message(bytes(20_000))
        landed(incoming, SETTINGS + headers() + data(body[:9]) + data(body[9:])[:9], room=20_000)
        self.assertEqual([len(buffer) for buffer in incoming.buffers()], [20_000, 9])

    def test_windows(self) -> None:
        """The peer hears of room when a quarter of the window has come: on its stream and in all."""
        incoming, queue = asked()
        body = message(bytes(WINDOW))
        queue.take()
        landed(incoming, SETTINGS + headers() + data(body[:200_000]), room=WINDOW)
        self.assertNotIn(b"\x08", [bytes(piece)[3:4] for piece in queue.take()])
        landed(incoming, data(body[200_000:250_000]), room=WINDOW)
        update = (250_000).to_bytes(4, "big")
        expected = [frame(FrameType.WINDOW_UPDATE, 0, stream_id, update) for stream_id in (0, 1)]
        self.assertEqual(queue.take(), expected)

    def test_next_call(self) -> None:
        """When a call has ended well another one can be made, with the table of headers as it was."""
        incoming, _ = asked()
        indexed = b"\x40\x04name\x05value"  # a literal that goes into the table
        again = b"\xbe"  # which is the first in it
        landed(incoming, SETTINGS + headers(RESPONSE + indexed) + headers(OK, end=True))
        self.assertTrue(incoming.ended)
        incoming.begin(3)
        stream = (
            headers(RESPONSE + again, stream_id=3)
            + data(message(b"two"), stream_id=3)
            + headers(OK + again, end=True, stream_id=3)
        )
        self.assertEqual(landed(incoming, stream), b"two")
        self.assertEqual(
            (incoming.ended, incoming.failure, incoming.going_away), (True, None, False)
        )


class EndTests(SynchronousTestCase):
    def failure(self, stream: bytes) -> Exception | None:
        """What a call ends with."""
        incoming, _ = asked()
        landed(incoming, SETTINGS + stream)
        self.assertTrue(incoming.ended)
        return incoming.failure

    def test_status(self) -> None:
        """A failure is told by the only headers there are, or by those after the data."""
        error = NotFound("none: 100 %")
        for stream in (
            headers(trailers_only(error), end=True),
            headers() + data(message(b"some")) + headers(trailers(error), end=True),
        ):
            failure = self.failure(stream)
            self.assertIsInstance(failure, NotFound)
            self.assertEqual(str(failure), "backing cache: none: 100 %")

    def test_informational(self) -> None:
        """Headers before the headers say nothing."""
        early = hpack.encode(((b":status", b"103"),))
        self.assertIsNone(self.failure(headers(early) + headers() + headers(OK, end=True)))

    def test_not_grpc(self) -> None:
        """An answer of something else is no answer, and what follows is not read."""
        page = hpack.encode(((b":status", b"200"), (b"content-type", b"text/html")))
        incoming, _ = asked()
        landed(incoming, SETTINGS + headers(page))
        self.assertIsInstance(incoming.failure, Unavailable)
        self.assertTrue(incoming.going_away)

    def test_reset(self) -> None:
        """RST_STREAM ends the call."""
        stream = headers() + frame(FrameType.RST_STREAM, 0, 1, (2).to_bytes(4, "big"))
        self.assertIn("INTERNAL_ERROR", str(self.failure(stream)))

    def test_without_trailers(self) -> None:
        """DATA that ends the stream is not the end of an answer."""
        self.assertIsInstance(self.failure(headers() + data(message(b"x"), end=True)), Unavailable)

    def test_inside_a_message(self) -> None:
        """A message that is not whole is no answer, whatever the status says."""
        stream = headers() + data(message(b"hello")[:-1]) + headers(OK, end=True)
        self.assertIn("inside of a message", str(self.failure(stream)))

    def test_going_away(self) -> None:
        """A peer that goes away ends the calls it will not answer, and takes no others."""
        for last, ended in ((0, True), (1, False)):
            incoming, _ = asked()
            payload = last.to_bytes(4, "big") + bytes(4)
            landed(incoming, SETTINGS + frame(FrameType.GOAWAY, 0, 0, payload))
            self.assertEqual((incoming.ended, incoming.going_away), (ended, True))

    def test_late_reset(self) -> None:
        """A reset after the end says that the peer wants no more of the request."""
        stream = headers(trailers_only(NotFound("x")), end=True)
        late = frame(FrameType.RST_STREAM, 0, 1, bytes(4))
        self.assertIsInstance(self.failure(stream + late), NotFound)


class ViolationTests(SynchronousTestCase):
    def test_violations(self) -> None:
        """What no peer may send ends the connection."""
        data_begun = headers() + data(b"")
        settings_frame = frame(FrameType.SETTINGS, 0, 0, b"12345")
        for name, stream in {
            "no SETTINGS first": headers(),
            "SETTINGS that are none": SETTINGS + settings_frame,
            "DATA before headers": SETTINGS + data(b"x"),
            "DATA of another stream": SETTINGS + data_begun + data(b"x", stream_id=3),
            "DATA after the end": SETTINGS + answer()[9:] + data(b"x"),
            "DATA too long": SETTINGS
            + headers()
            + frame(FrameType.DATA, 0, 1, bytes(MAX_FRAME_BYTES + 1))[:9],
            "no padding length": SETTINGS + headers() + frame(FrameType.DATA, PADDED, 1, b""),
            "padding too long": SETTINGS + headers() + frame(FrameType.DATA, PADDED, 1, b"\x05abc"),
            "headers twice": SETTINGS + headers() + headers(),
            "headers of another stream": SETTINGS + headers(stream_id=3),
            "CONTINUATION alone": SETTINGS + frame(FrameType.CONTINUATION, END_HEADERS, 1, OK),
            "interrupted block": SETTINGS + frame(FrameType.HEADERS, 0, 1, OK) + PING,
            "no header block": SETTINGS + headers(b"\xff\xff\xff\xff\xff"),
            "a block without end": SETTINGS
            + frame(FrameType.HEADERS, 0, 1, bytes(60_000))
            + frame(FrameType.CONTINUATION, 0, 1, bytes(60_000)),
            "a header list too large": SETTINGS
            + headers(hpack.encode([(b"x%d" % n, bytes(1000)) for n in range(70)])),
            "a long frame": SETTINGS + frame(FrameType.SETTINGS, ACK, 0, bytes(70_000)),
            "PUSH_PROMISE": SETTINGS + frame(FrameType.PUSH_PROMISE, END_HEADERS, 1, bytes(4)),
            "RST_STREAM of 3": SETTINGS + frame(FrameType.RST_STREAM, 0, 1, bytes(3)),
            "PING of 3": SETTINGS + frame(FrameType.PING, 0, 0, bytes(3)),
            "no message": SETTINGS + headers() + data(b"\x00\x00\x00\x00\x01\xff"),
        }.items():
            incoming, _ = asked()
            try:
                landed(incoming, stream)
            except ConnectionViolation:
                continue
            self.fail(name)

    def test_priority_and_padding_of_headers(self) -> None:
        """What else headers may have is passed over."""
        flags = END_HEADERS | END_STREAM | PADDED | PRIORITY_FLAG
        block = b"\x02" + bytes(5) + RESPONSE + OK + bytes(2)
        incoming, _ = asked()
        landed(incoming, SETTINGS + frame(FrameType.HEADERS, flags, 1, block))
        self.assertEqual((incoming.ended, incoming.failure), (True, None))

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200), st.lists(st.integers(1, 50), max_size=50))
    def test_total(self, noise: bytes, sizes: list[int]) -> None:
        """Whatever comes, it is understood or a violation."""
        incoming, _ = asked()
        try:
            landed(incoming, SETTINGS + headers() + noise, sizes)
        except ConnectionViolation:
            self.assertTrue(noise)
