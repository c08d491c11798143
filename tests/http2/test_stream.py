"""Tests of gorego_tw.http2.stream: the table, pair by pair, and a connection that follows it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.http2.connection import ServerConnection
from gorego_tw.http2.errors import ErrorCode, LocalProtocolError, StreamViolation
from gorego_tw.http2.events import ConnectionTerminated, StreamReset
from gorego_tw.http2.frames import FrameType
from gorego_tw.http2.stream import (
    FORBIDDEN,
    IGNORED,
    TABLE,
    ClosedStreams,
    Input,
    Refused,
    State,
    Stream,
)
from tests.http2.client import (
    HEAD,
    TRAILERS,
    data,
    headers,
    reset,
    sent,
    started,
    window_update,
)

# What RFC 9113 section 5.1 says of each pair, in words of one table: "=" stays, a state's name moves,
# "-" is ignored, "local" is our mistake, "stream:CODE" and "connection:CODE" are the peer's.
_PROTOCOL, _CLOSED = "PROTOCOL_ERROR", "STREAM_CLOSED"
EXPECTED = {
    State.IDLE: (
        ["OPEN", "HALF_CLOSED_REMOTE", *[f"connection:{_PROTOCOL}"] * 4],
        ["local"] * 5,
    ),
    State.OPEN: (
        [
            f"stream:{_PROTOCOL}",
            "HALF_CLOSED_REMOTE",
            "=",
            "HALF_CLOSED_REMOTE",
            "RESET_BY_PEER",
            "=",
        ],
        ["=", "HALF_CLOSED_LOCAL", "=", "HALF_CLOSED_LOCAL", "RESET_BY_US"],
    ),
    State.HALF_CLOSED_REMOTE: (
        [*[f"stream:{_CLOSED}"] * 4, "RESET_BY_PEER", "="],
        ["=", "ENDED", "=", "ENDED", "RESET_BY_US"],
    ),
    State.HALF_CLOSED_LOCAL: (
        [f"stream:{_PROTOCOL}", "ENDED", "=", "ENDED", "RESET_BY_PEER", "="],
        ["local", "local", "local", "local", "RESET_BY_US"],
    ),
    State.ENDED: (
        [*[f"connection:{_CLOSED}"] * 4, "-", "-"],
        ["local", "local", "local", "local", "-"],
    ),
    State.RESET_BY_US: (["-"] * 6, ["-"] * 5),
    State.RESET_BY_PEER: ([*[f"stream:{_CLOSED}"] * 4, "-", "-"], ["-"] * 5),
}


def told(state: State, happened: Input) -> str:
    """An entry of the table in the words of EXPECTED."""
    outcome = TABLE[state][happened]
    if isinstance(outcome, State):
        return "=" if outcome is state else outcome.name
    if isinstance(outcome, Refused):
        scope = "connection" if outcome.ends_connection else "stream"
        return f"{scope}:{outcome.code.name}"
    return "-" if outcome is IGNORED else "local"


def in_state(state: State) -> ServerConnection:
    """A connection whose stream 1 is in ``state``."""
    connection = started()
    if state is State.IDLE:
        return connection
    ended = state in (State.HALF_CLOSED_REMOTE, State.ENDED)
    connection.receive(headers(1, end=ended))
    if state in (State.HALF_CLOSED_LOCAL, State.ENDED):
        connection.finish(1, HEAD)
    if state is State.RESET_BY_US:
        connection.reset(1, ErrorCode.CANCEL)
    if state is State.RESET_BY_PEER:
        connection.receive(reset(1))
    connection.bytes_to_send()
    return connection


RECEIVED = {
    Input.RECEIVE_HEADERS: headers(1),
    Input.RECEIVE_HEADERS_END: headers(1, TRAILERS, end=True),
    Input.RECEIVE_DATA: data(1),
    Input.RECEIVE_DATA_END: data(1, end=True),
    Input.RECEIVE_RESET: reset(1),
    Input.RECEIVE_WINDOW: window_update(1, 1),
}


def send(connection: ServerConnection, order: Input) -> None:
    """Give one order about stream 1."""
    if order is Input.SEND_HEADERS:
        connection.respond(1, HEAD)
    elif order is Input.SEND_HEADERS_END:
        connection.finish(1, TRAILERS)
    elif order is Input.SEND_DATA:
        connection.send(1, b"x")
    elif order is Input.SEND_DATA_END:
        connection.end(1)
    else:
        connection.reset(1, ErrorCode.CANCEL)


class TableTests(SynchronousTestCase):
    def test_every_pair(self) -> None:
        """Each of the pairs of state and input has the outcome the RFC gives it."""
        for state, (received, sends) in EXPECTED.items():
            for happened, expected in zip(Input, [*received, *sends], strict=True):
                self.assertEqual(told(state, happened), expected, (state.name, happened.name))

    def test_complete(self) -> None:
        """There is an entry for every pair."""
        self.assertEqual({len(row) for row in TABLE}, {len(Input)})
        self.assertEqual(len(TABLE), len(State))

    def test_connection_follows_when_receiving(self) -> None:
        """A connection does with a frame in any state what the table says."""
        for state in State:
            for happened, received in RECEIVED.items():
                if state is State.IDLE and happened is Input.RECEIVE_HEADERS_END:
                    received = headers(1, end=True)  # noqa: PLW2901 - trailers open no stream
                self._check_received(state, happened, received)

    def _check_received(self, state: State, happened: Input, received: bytes) -> None:
        connection = in_state(state)
        events = connection.receive(received)
        frames = sent(connection)
        told_codes = [event.code for event in events if isinstance(event, ConnectionTerminated)]
        resets = [payload for kind, _, _, payload in frames if kind == FrameType.RST_STREAM]
        outcome = TABLE[state][happened]
        pair = (state.name, happened.name)
        if not isinstance(outcome, Refused):
            self.assertEqual((told_codes, resets), ([], []), pair)
        elif outcome.ends_connection:
            self.assertEqual(told_codes, [outcome.code], pair)
        else:
            self.assertEqual(resets, [outcome.code.to_bytes(4, "big")], pair)
            known = state in (State.OPEN, State.HALF_CLOSED_REMOTE, State.HALF_CLOSED_LOCAL)
            self.assertEqual(
                [type(event) for event in events], [StreamReset] if known else [], pair
            )

    def test_connection_follows_when_sending(self) -> None:
        """An order that the table forbids is our mistake; one it ignores sends nothing."""
        orders = [order for order in Input if order.name.startswith("SEND")]
        for state in State:
            for order in orders:
                connection = in_state(state)
                outcome = TABLE[state][order]
                if outcome is FORBIDDEN and order is not Input.SEND_RESET:
                    self.assertRaises(LocalProtocolError, send, connection, order)
                    continue
                send(connection, order)
                self.assertEqual(
                    bool(sent(connection)), isinstance(outcome, State), (state.name, order.name)
                )


class StreamTests(SynchronousTestCase):
    def test_content_length(self) -> None:
        """A body that is longer or shorter than announced is a violation; the right one is not."""
        stream = Stream(State.OPEN, 10, 10, 5)
        stream.data_received(3, 3, ended=False)
        self.assertRaises(StreamViolation, stream.data_received, 3, 3, ended=False)
        stream = Stream(State.OPEN, 10, 10, 5)
        self.assertRaises(StreamViolation, stream.data_received, 4, 4, ended=True)
        Stream(State.OPEN, 10, 10, 5).data_received(7, 5, ended=True)
        Stream(State.OPEN, 10, 10, None).data_received(9, 9, ended=True)

    def test_window(self) -> None:
        """More than the window, padding included, is a violation."""
        stream = Stream(State.OPEN, 10, 10, None)
        stream.data_received(10, 5, ended=False)
        with self.assertRaises(StreamViolation) as caught:
            stream.data_received(1, 0, ended=True)
        self.assertEqual(caught.exception.code, ErrorCode.FLOW_CONTROL_ERROR)


class ClosedStreamsTests(SynchronousTestCase):
    def test_remembers_resets(self) -> None:
        """How a stream closed is remembered up to a limit; those forgotten have ended."""
        closed = ClosedStreams(2)
        for stream_id in (1, 3, 5):
            closed.add(stream_id, State.RESET_BY_US)
        closed.add(7, State.ENDED)
        self.assertEqual(
            [closed.get(stream_id) for stream_id in (1, 3, 5, 7)],
            [State.ENDED, State.RESET_BY_US, State.RESET_BY_US, State.ENDED],
        )
