"""Tests of gorego_tw.http2.connection: the invariants of a connection."""

from __future__ import annotations

import ast
from pathlib import Path

import h2.config
import h2.connection
import h2.events
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import gorego_tw.http2
from gorego_tw.http2 import hpack
from gorego_tw.http2.connection import ServerConnection
from gorego_tw.http2.errors import ErrorCode, LocalProtocolError
from gorego_tw.http2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PeerGoingAway,
    PingAcknowledged,
    RequestStarted,
    StreamReset,
    TrailersReceived,
    WindowOpened,
)
from gorego_tw.http2.frames import END_HEADERS, PADDED, PREFACE, PRIORITY_FLAG, FrameType, frame
from gorego_tw.http2.headers import Headers
from gorego_tw.http2.limits import Limits, Rate
from tests.http2.client import (
    HEAD,
    REQUEST,
    START,
    TRAILERS,
    data,
    headers,
    reset,
    sent,
    started,
    types,
    window_update,
)
from tests.http2.client import (
    settings as settings_frame,
)

INDEXED = b"\x40\x04name\x05value"

#: A session with some of everything; each piece is legal after those before it.
SESSION = [
    START,
    headers(1),
    data(1, b"hello"),
    frame(FrameType.PING, 0, 0, b"12345678"),
    headers(3, REQUEST + INDEXED, end=True),
    data(1, b"world", end=True),
    settings_frame(_4=100),
    window_update(0, 1000),
    frame(FrameType.HEADERS, 0, 5, REQUEST[:4]),
    frame(FrameType.CONTINUATION, END_HEADERS, 5, REQUEST[4:] + b"\xbe"),
    frame(FrameType.DATA, PADDED, 5, b"\x03abc\0\0\0"),
    headers(5, TRAILERS, end=True),
    frame(FrameType.PRIORITY, 0, 7, b"\0\0\0\1\x10"),
    frame(FrameType.HEADERS, END_HEADERS | PRIORITY_FLAG, 7, b"\0\0\0\1\x10" + REQUEST),
    reset(7),
    frame(99, 0, 0, b"unknown"),
    frame(FrameType.GOAWAY, 0, 0, bytes(8) + b"bye"),
]


def told(events: list[Event]) -> list[tuple[object, ...]]:
    """Events as plain values: a header list is compared by its fields."""
    return [(type(event).__name__, *map(_plain, event)) for event in events]


def _plain(value: object) -> object:
    return (value.path, list(value.items())) if isinstance(value, Headers) else value


class InvariantTests(SynchronousTestCase):
    @given(st.lists(st.integers(1, 40), min_size=1, max_size=40))
    @settings(max_examples=150, deadline=None)
    def test_any_split_gives_the_same_events(self, steps: list[int]) -> None:
        """How the bytes are cut never changes the events, or what is answered."""
        whole = b"".join(SESSION)
        reference = ServerConnection()
        expected = told(reference.receive(whole))
        connection, events, at, turn = ServerConnection(), [], 0, 0
        while at < len(whole):
            step = steps[turn % len(steps)]
            events += told(connection.receive(whole[at : at + step]))
            at, turn = at + step, turn + 1
        self.assertEqual(events, expected)
        self.assertEqual(connection.bytes_to_send(), reference.bytes_to_send())

    def test_byte_by_byte(self) -> None:
        """Not even single bytes change anything."""
        whole = b"".join(SESSION)
        connection = ServerConnection()
        events = [
            event for i in range(len(whole)) for event in connection.receive(whole[i : i + 1])
        ]
        self.assertEqual(told(events), told(ServerConnection().receive(whole)))

    def test_session(self) -> None:
        """The session means what it should."""
        events = ServerConnection().receive(b"".join(SESSION))
        self.assertEqual(
            types(events),
            [
                "SettingsApplied",
                "RequestStarted",
                "DataReceived",
                "RequestStarted",
                "DataReceived",
                "SettingsApplied",
                "RequestStarted",
                "DataReceived",
                "TrailersReceived",
                "RequestStarted",
                "StreamReset",
                "PeerGoingAway",
            ],
        )
        self.assertEqual(events[7], DataReceived(5, b"abc", 7, False))
        self.assertEqual(events[-1], PeerGoingAway(0, 0, b"bye"))

    def test_after_a_connection_violation(self) -> None:
        """The output ends with one GOAWAY, and nothing happens after it."""
        connection = started()
        connection.receive(headers(1))
        events = connection.receive(data(0) + headers(3))
        self.assertEqual(types(events), ["ConnectionTerminated"])
        frames = sent(connection)
        self.assertEqual([kind for kind, *_ in frames], [FrameType.GOAWAY])
        self.assertEqual(frames[0][3][:8], b"\0\0\0\1\0\0\0\1")
        self.assertEqual(connection.receive(headers(5)), [])
        connection.respond(1, HEAD)
        connection.send(1, b"x")
        connection.finish(1, TRAILERS)
        connection.end(1)
        connection.respond_and_finish(1, HEAD, b"x", TRAILERS)
        connection.reset(1, ErrorCode.CANCEL)
        connection.acknowledge(1, 10)
        connection.ping(bytes(8))
        connection.shut_down()
        connection.goaway(ErrorCode.NO_ERROR)
        self.assertFalse(connection.has_output)
        self.assertEqual((connection.sendable(1), connection.open_stream_count), (0, 0))

    def test_events_before_a_violation_are_told(self) -> None:
        """What was right before the wrong frame of the same bytes is not lost."""
        events = started().receive(headers(1) + data(1) + data(0))
        self.assertEqual(types(events), ["RequestStarted", "DataReceived", "ConnectionTerminated"])

    def test_stream_violation_spares_the_others(self) -> None:
        """A stream that breaks the rules changes no other stream, and no byte of the window is lost."""
        connection = started(Limits(connection_window_size=1 << 16, initial_window_size=1 << 16))
        connection.receive(headers(1) + headers(3, end=True))
        events = connection.receive(data(3, bytes(16_384)) + data(1, b"fine"))
        self.assertEqual(
            events,
            [StreamReset(3, ErrorCode.STREAM_CLOSED, False), DataReceived(1, b"fine", 4, False)],
        )
        updates = [f for f in sent(connection) if f[0] == FrameType.WINDOW_UPDATE]
        self.assertEqual(updates, [(FrameType.WINDOW_UPDATE, 0, 0, (16_384).to_bytes(4, "big"))])

    def test_every_block_passes_through_hpack(self) -> None:
        """The block of a refused stream still fills the table."""
        connection = started(Limits(max_concurrent_streams=1))
        events = connection.receive(headers(1) + headers(3, REQUEST + INDEXED) + reset(1))
        self.assertEqual(types(events), ["RequestStarted", "StreamReset"])
        (event,) = connection.receive(headers(5, REQUEST + b"\xbe"))
        assert isinstance(event, RequestStarted)
        self.assertEqual(event.headers.get(b"name"), b"value")

    def test_stream_numbers(self) -> None:
        """Numbers are odd and grow; any other is an error of the connection."""
        for stream_id in (2, 3, 5, 0):
            connection = started()
            connection.receive(headers(5, end=True))
            connection.respond_and_finish(5, HEAD, b"", TRAILERS)
            (event,) = connection.receive(headers(stream_id))
            self.assertIsInstance(event, ConnectionTerminated, stream_id)

    def test_send_windows_do_not_overflow(self) -> None:
        """A window beyond 2^31-1 is an error: of the stream, or of the connection."""
        connection = started()
        connection.receive(headers(1))
        (event,) = connection.receive(window_update(1, 2**31 - 1))
        self.assertEqual(event, StreamReset(1, ErrorCode.FLOW_CONTROL_ERROR, False))
        (terminated,) = connection.receive(window_update(0, 2**31 - 1))
        assert isinstance(terminated, ConnectionTerminated)
        self.assertEqual(terminated.code, ErrorCode.FLOW_CONTROL_ERROR)

    def test_settings_overflow(self) -> None:
        """A setting that makes some window overflow is an error of the connection (6.9.2)."""
        connection = started()
        connection.receive(headers(1) + window_update(1, 1000))
        events = connection.receive(settings_frame(_4=2**31 - 1))
        self.assertEqual(types(events), ["ConnectionTerminated"])

    def test_negative_window(self) -> None:
        """A lowered setting may make a window negative; it opens when it is positive again."""
        connection = started()
        connection.receive(headers(1))
        connection.respond(1, HEAD)
        connection.send(1, bytes(1000))
        connection.receive(settings_frame(_4=500))
        self.assertEqual(connection.sendable(1), 0)
        self.assertEqual(connection.receive(window_update(1, 500)), [])
        self.assertEqual(connection.receive(window_update(1, 1)), [WindowOpened(1)])
        self.assertEqual(connection.sendable(1), 1)

    def test_settings_do_not_change_the_connection_window(self) -> None:
        """Only WINDOW_UPDATE does (6.9.2)."""
        connection = started()
        connection.receive(settings_frame(_4=1 << 20) + headers(1))
        self.assertEqual(connection.sendable(1), 65_535)

    def test_sending_beyond_a_window(self) -> None:
        """It is our mistake, never cut short silently."""
        connection = started()
        connection.receive(headers(1))
        connection.respond(1, HEAD)
        self.assertRaises(LocalProtocolError, connection.send, 1, bytes(65_536))
        self.assertFalse(connection.respond_and_finish(1, HEAD, bytes(65_536), TRAILERS))

    def test_every_byte_is_given_back_once(self) -> None:
        """All that was received, padding included, returns to the peer: acknowledged or thrown away."""
        connection = started(Limits(connection_window_size=1 << 16, initial_window_size=1 << 16))
        connection.receive(headers(1) + headers(3) + headers(5, end=True))
        connection.finish(3, HEAD)
        padded = frame(FrameType.DATA, PADDED, 1, b"\x07" + b"abc" + bytes(7))
        (event,) = connection.receive(padded)
        assert isinstance(event, DataReceived)
        connection.acknowledge(1, event.flow_size)
        connection.receive(data(3, bytes(1000)) + data(5, bytes(500)))
        connection.receive(reset(1) + data(1, bytes(200)))
        connection.acknowledge(7, 16_384 - 11 - 1000 - 500 - 200)
        granted = [f for f in sent(connection) if f[0] == FrameType.WINDOW_UPDATE and f[2] == 0]
        self.assertEqual(granted, [(FrameType.WINDOW_UPDATE, 0, 0, (16_384).to_bytes(4, "big"))])

    def test_interrupted_block(self) -> None:
        """Between HEADERS and its last CONTINUATION nothing else may come."""
        begun = frame(FrameType.HEADERS, 0, 1, REQUEST)
        for other in (
            data(1),
            headers(3),
            frame(FrameType.PING, 0, 0, bytes(8)),
            frame(FrameType.CONTINUATION, END_HEADERS, 3, b""),
            frame(99, 0, 0, b""),
        ):
            self.assertEqual(types(started().receive(begun + other)), ["ConnectionTerminated"])
        self.assertEqual(
            types(started().receive(frame(FrameType.CONTINUATION, END_HEADERS, 1, b""))),
            ["ConnectionTerminated"],
        )

    def test_trailers(self) -> None:
        """Trailers end the request and have no pseudo-headers."""
        connection = started()
        connection.receive(headers(1) + headers(3) + headers(5))
        (event,) = connection.receive(headers(1, TRAILERS, end=True))
        assert isinstance(event, TrailersReceived)
        self.assertEqual(event.headers.get(b"checksum"), b"1")
        self.assertEqual(
            connection.receive(headers(3, TRAILERS) + headers(5, REQUEST, end=True)),
            [
                StreamReset(3, ErrorCode.PROTOCOL_ERROR, False),
                StreamReset(5, ErrorCode.PROTOCOL_ERROR, False),
            ],
        )

    def test_settings_are_acknowledged(self) -> None:
        """Each of the peer's SETTINGS is answered, in order with what follows."""
        connection = started()
        connection.receive(settings_frame(_5=20_000) + frame(FrameType.PING, 0, 0, b"01234567"))
        self.assertEqual(
            [(kind, flags) for kind, flags, *_ in sent(connection)],
            [(FrameType.SETTINGS, 1), (FrameType.PING, 1)],
        )

    @given(st.binary(max_size=200))
    @settings(max_examples=300, deadline=None)
    def test_total_on_any_bytes(self, noise: bytes) -> None:
        """Any bytes, from the first on or after a start, yield events and never an exception."""
        ServerConnection().receive(noise)
        connection = started()
        connection.receive(noise)
        connection.receive(headers(1) + noise)

    @given(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 10**6), st.booleans())
    @settings(max_examples=400, deadline=None)
    def test_total_on_damaged_sessions(self, at: int, byte: int, cut: int, drop: bool) -> None:
        """One wrong byte anywhere in a session, or a piece missing, is never an exception."""
        whole = bytearray(b"".join(SESSION))
        whole[at % len(whole)] = byte
        if drop:
            del whole[cut % len(whole) : cut % len(whole) + 5]
        connection = ServerConnection()
        events = connection.receive(bytes(whole))
        for event in events:
            if isinstance(event, RequestStarted):
                connection.respond_and_finish(event.stream_id, HEAD, b"x", TRAILERS)
        ended = [event for event in events if isinstance(event, ConnectionTerminated)]
        self.assertEqual(bool(ended), connection.closed)

    def test_purity(self) -> None:
        """The package imports no Twisted, no time, no logging."""
        for path in Path(gorego_tw.http2.__file__).parent.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                for name in names:
                    self.assertNotIn(name.split(".")[0], {"twisted", "time", "logging", "asyncio"})


class LimitTests(SynchronousTestCase):
    """Each bound, made small."""

    def check(self, limits: Limits, flood: bytes, *, first: bytes = b"") -> None:
        connection = started(limits)
        connection.receive(first)
        events = connection.receive(flood, now=0.0)
        terminated = events[-1]
        assert isinstance(terminated, ConnectionTerminated), types(events)
        self.assertEqual(terminated.code, ErrorCode.ENHANCE_YOUR_CALM)

    def test_rapid_reset(self) -> None:
        """Streams opened and reset faster than allowed end the connection."""
        flood = b"".join(headers(n) + reset(n) for n in range(1, 21, 2))
        self.check(Limits(resets=Rate(5, 1.0)), flood)

    def test_pings(self) -> None:
        """So do PINGs."""
        self.check(Limits(pings=Rate(5, 1.0)), frame(FrameType.PING, 0, 0, bytes(8)) * 6)

    def test_settings(self) -> None:
        """So do SETTINGS."""
        self.check(Limits(settings=Rate(5, 1.0)), settings_frame() * 6)

    def test_empty_data(self) -> None:
        """So do frames that carry nothing."""
        self.check(Limits(idle_frames=Rate(5, 1.0)), data(1, b"") * 6, first=headers(1))

    def test_unknown_and_priority(self) -> None:
        """And frames that mean nothing here."""
        self.check(Limits(idle_frames=Rate(5, 1.0)), frame(99, 0, 0, b"") * 6)
        priority = frame(FrameType.PRIORITY, 0, 1, b"\0\0\0\0\1")
        self.check(Limits(idle_frames=Rate(5, 1.0)), priority * 6)

    def test_continuations(self) -> None:
        """And a header block without end, in number or size."""
        begun = frame(FrameType.HEADERS, 0, 1, b"")
        more = frame(FrameType.CONTINUATION, 0, 1, b"")
        self.check(Limits(max_continuations=4), begun + more * 5)
        large = frame(FrameType.CONTINUATION, 0, 1, bytes(1000))
        self.check(Limits(max_header_block_size=2500), begun + large * 3)

    def test_slow_is_allowed(self) -> None:
        """The same number over a longer time is nobody's harm: keep-alive never is punished."""
        connection = started(Limits(pings=Rate(5, 1.0)))
        for second in range(100):
            self.assertEqual(
                connection.receive(frame(FrameType.PING, 0, 0, bytes(8)), now=float(second)), []
            )

    def test_concurrent_streams(self) -> None:
        """A stream too many is refused, which the client may retry."""
        connection = started(Limits(max_concurrent_streams=1))
        self.assertEqual(types(connection.receive(headers(1) + headers(3))), ["RequestStarted"])
        self.assertEqual(
            sent(connection),
            [(FrameType.RST_STREAM, 0, 3, ErrorCode.REFUSED_STREAM.to_bytes(4, "big"))],
        )

    def test_windows(self) -> None:
        """More DATA than a window lets through is an error of the stream, or of the connection."""
        connection = started(Limits(initial_window_size=100))
        connection.receive(headers(1))
        self.assertEqual(
            connection.receive(data(1, bytes(101))),
            [StreamReset(1, ErrorCode.FLOW_CONTROL_ERROR, False)],
        )
        connection = started(Limits(connection_window_size=65_535))
        connection.receive(headers(1))
        events = connection.receive(data(1, bytes(16_384)) * 4)
        self.assertEqual(types(events)[-1], "ConnectionTerminated")

    def test_header_list(self) -> None:
        """A header list too large costs its stream alone."""
        connection = started(Limits(max_header_list_size=300))
        large = REQUEST + hpack.encode(((b"name", bytes(300)),))
        self.assertEqual(
            types(connection.receive(headers(1, large) + headers(3))), ["RequestStarted"]
        )


class FrameErrorTests(SynchronousTestCase):
    def test_connection_errors(self) -> None:
        """Frames that no peer may send end the connection with the code the RFC gives."""
        size, protocol = ErrorCode.FRAME_SIZE_ERROR, ErrorCode.PROTOCOL_ERROR
        for wrong, code in (
            (frame(FrameType.DATA, 0, 1, bytes(16_385)), size),
            (frame(FrameType.HEADERS, END_HEADERS, 0, REQUEST), protocol),
            (frame(FrameType.PRIORITY, 0, 0, bytes(5)), protocol),
            (frame(FrameType.RST_STREAM, 0, 1, bytes(3)), size),
            (reset(0), protocol),
            (reset(1), protocol),
            (frame(FrameType.SETTINGS, 0, 1, b""), protocol),
            (frame(FrameType.SETTINGS, 0, 0, bytes(5)), size),
            (frame(FrameType.SETTINGS, 1, 0, bytes(6)), size),
            (settings_frame(_2=2), protocol),
            (settings_frame(_4=2**31), ErrorCode.FLOW_CONTROL_ERROR),
            (settings_frame(_5=16_383), protocol),
            (settings_frame(_5=2**24), protocol),
            (frame(FrameType.PUSH_PROMISE, 0, 1, bytes(8)), protocol),
            (frame(FrameType.PING, 0, 1, bytes(8)), protocol),
            (frame(FrameType.PING, 0, 0, bytes(7)), size),
            (frame(FrameType.GOAWAY, 0, 1, bytes(8)), protocol),
            (frame(FrameType.GOAWAY, 0, 0, bytes(7)), size),
            (frame(FrameType.WINDOW_UPDATE, 0, 0, bytes(3)), size),
            (window_update(0, 0), protocol),
            (window_update(1, 1), protocol),
            (frame(FrameType.HEADERS, END_HEADERS | PADDED, 1, b"\x05abc"), protocol),
            (frame(FrameType.HEADERS, END_HEADERS | PADDED, 1, b""), protocol),
            (frame(FrameType.HEADERS, END_HEADERS | PRIORITY_FLAG, 1, bytes(4)), size),
            (frame(FrameType.HEADERS, END_HEADERS | PRIORITY_FLAG, 1, b"\0\0\0\1\0"), protocol),
            (headers(1, b"\x80"), ErrorCode.COMPRESSION_ERROR),
        ):
            (event,) = started().receive(wrong)
            assert isinstance(event, ConnectionTerminated), wrong[:20]
            self.assertEqual(event.code, code, event.message)

    def test_stream_errors(self) -> None:
        """What only one stream does wrong costs that stream."""
        for wrong, code in (
            (window_update(1, 0), ErrorCode.PROTOCOL_ERROR),
            (frame(FrameType.PRIORITY, 0, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
            (frame(FrameType.PRIORITY, 0, 1, b"\0\0\0\1\0"), ErrorCode.PROTOCOL_ERROR),
        ):
            connection = started()
            connection.receive(headers(1))
            self.assertEqual(connection.receive(wrong), [StreamReset(1, code, False)])

    def test_malformed_requests(self) -> None:
        """Header lists that no request may have (section 8) are PROTOCOL_ERROR."""
        good = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]
        for fields in (
            good[1:],
            [good[0], good[2]],
            good[:2],
            [*good[:2], (b":path", b"")],
            [*good, good[0]],
            [*good, (b":status", b"200")],
            [(b"a", b"b"), *good],
            [*good, (b"Upper", b"x")],
            [*good, (b"", b"x")],
            [*good, (b"connection", b"close")],
            [*good, (b"te", b"gzip")],
            [*good, (b"name", b"a\r\nb")],
            [*good, (b"content-length", b"x")],
            [*good, (b"content-length", b"1"), (b"content-length", b"2")],
            [*good, (b"content-length", b"5")],
            [],
        ):
            connection = started()
            self.assertEqual(
                connection.receive(headers(1, hpack.encode(fields), end=True)), [], fields
            )
            self.assertEqual(
                sent(connection),
                [(FrameType.RST_STREAM, 0, 1, ErrorCode.PROTOCOL_ERROR.to_bytes(4, "big"))],
                fields,
            )

    def test_no_settings(self) -> None:
        """The first frame has to be SETTINGS, and the first bytes the preface."""
        for start in (PREFACE + headers(1), b"GET / HTTP/1.1\r\n\r\n"):
            events = ServerConnection().receive(start)
            self.assertEqual(types(events), ["ConnectionTerminated"])


class OrderTests(SynchronousTestCase):
    def test_one_answer_or_three_orders(self) -> None:
        """A whole answer in one order is the same frames as in three."""
        for size in (0, 5, 16_384, 16_385, 40_000):
            outputs = []
            for whole in (True, False):
                connection = started()
                connection.receive(headers(1, end=True) + headers(3, end=True))
                connection.finish(1, HEAD)
                connection.bytes_to_send()
                if whole:
                    connection.respond_and_finish(3, HEAD, bytes(size), TRAILERS)
                else:
                    connection.respond(3, HEAD)
                    connection.send(3, bytes(size))
                    connection.finish(3, TRAILERS)
                outputs.append(connection.bytes_to_send())
            self.assertEqual(outputs[0], outputs[1], size)

    def test_long_block(self) -> None:
        """A block larger than a frame goes on in CONTINUATION."""
        connection = started()
        connection.receive(headers(1, end=True))
        connection.finish(1, bytes(40_000))
        frames = [(kind, flags) for kind, flags, *_ in sent(connection)]
        self.assertEqual(
            frames,
            [(FrameType.HEADERS, END_HEADERS | 1)],
        )

    def test_drain(self) -> None:
        """After the final GOAWAY new streams are passed over; those that run go on."""
        connection = started()
        connection.receive(headers(1))
        connection.shut_down()
        self.assertEqual(types(connection.receive(headers(3))), ["RequestStarted"])
        connection.goaway(ErrorCode.NO_ERROR, b"going")
        self.assertEqual(
            types(connection.receive(headers(5) + data(5) + data(1))), ["DataReceived"]
        )
        goaways = [payload for kind, _, _, payload in sent(connection) if kind == FrameType.GOAWAY]
        self.assertEqual(
            goaways, [b"\x7f\xff\xff\xff" + bytes(4), b"\0\0\0\3" + bytes(4) + b"going"]
        )

    def test_ping(self) -> None:
        """The answer to our PING is an event."""
        connection = started()
        connection.ping(b"12345678")
        self.assertEqual(sent(connection), [(FrameType.PING, 0, 0, b"12345678")])
        answered = connection.receive(frame(FrameType.PING, 1, 0, b"12345678"))
        self.assertEqual(answered, [PingAcknowledged(b"12345678")])


class IndependentClientTests(SynchronousTestCase):
    def test_bodies_both_ways(self) -> None:
        """The h2 library sends and receives megabytes, whatever its windows are."""
        body = bytes(range(256)) * 8192
        client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        server = ServerConnection()
        client.initiate_connection()
        client.send_headers(
            1, [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
        )
        left, got, back, echoed, ended = body, b"", b"", b"", False
        responded = False
        for _ in range(10_000):
            room = min(client.local_flow_control_window(1), 16_384, len(left))
            if room:
                client.send_data(1, left[:room], end_stream=room == len(left))
                left = left[room:]
            for event in server.receive(client.data_to_send()):
                if isinstance(event, DataReceived):
                    got += event.data
                    back += event.data
                    server.acknowledge(1, event.flow_size)
            if not responded:
                server.respond(1, HEAD)
                responded = True
            n = min(server.sendable(1), len(back))
            if n:
                server.send(1, memoryview(back)[:n])
                back = back[n:]
            elif len(got) == len(body) and not back and not ended:
                server.finish(1, TRAILERS)
                ended = True
            for client_event in client.receive_data(server.bytes_to_send()):
                if isinstance(client_event, h2.events.DataReceived):
                    echoed += client_event.data
                    client.acknowledge_received_data(client_event.flow_controlled_length, 1)
                if isinstance(client_event, h2.events.StreamEnded):
                    self.assertEqual((got, echoed), (body, body))
                    return
        self.fail("the exchange did not end")
