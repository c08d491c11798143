"""The life of one stream (RFC 9113 section 5.1), as a table.

All rules about which frame may come when are in :data:`TABLE`; nothing else decides them.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple

from gorego_tw.http2.errors import ErrorCode, StreamViolation
from gorego_tw.http2.windows import ReceiveWindow, SendWindow


class State(IntEnum):
    """Where a stream is. The last three are "closed" in the RFC, told apart by how."""

    IDLE = 0
    OPEN = 1
    HALF_CLOSED_REMOTE = 2  # the peer has ended
    HALF_CLOSED_LOCAL = 3  # we have ended
    ENDED = 4  # both have
    RESET_BY_US = 5
    RESET_BY_PEER = 6


class Input(IntEnum):
    """What can happen to a stream; ``_END`` is with the END_STREAM flag."""

    RECEIVE_HEADERS = 0
    RECEIVE_HEADERS_END = 1
    RECEIVE_DATA = 2
    RECEIVE_DATA_END = 3
    RECEIVE_RESET = 4
    RECEIVE_WINDOW = 5
    SEND_HEADERS = 6
    SEND_HEADERS_END = 7
    SEND_DATA = 8
    SEND_DATA_END = 9
    SEND_RESET = 10


class Refused(NamedTuple):
    """The peer must not send this now."""

    code: ErrorCode
    ends_connection: bool


class Nothing(Enum):
    """Where the stream does not move and the peer has done no wrong."""

    #: It was on its way, or decided, before the other side's reset was seen.
    IGNORED = 1
    #: We must not send this now.
    FORBIDDEN = 2


IGNORED = Nothing.IGNORED
FORBIDDEN = Nothing.FORBIDDEN
_IDLE_ERROR = Refused(ErrorCode.PROTOCOL_ERROR, True)
_NOT_TRAILERS = Refused(ErrorCode.PROTOCOL_ERROR, False)
_STREAM_CLOSED = Refused(ErrorCode.STREAM_CLOSED, False)
_LONG_CLOSED = Refused(ErrorCode.STREAM_CLOSED, True)

# One row per state, one column per input, in the order of Input.
# fmt: off
TABLE: tuple[tuple[State | Refused | Nothing, ...], ...] = (
    # IDLE
    (State.OPEN, State.HALF_CLOSED_REMOTE, _IDLE_ERROR, _IDLE_ERROR, _IDLE_ERROR, _IDLE_ERROR,
     FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN),
    # OPEN
    (_NOT_TRAILERS, State.HALF_CLOSED_REMOTE, State.OPEN, State.HALF_CLOSED_REMOTE, State.RESET_BY_PEER,
     State.OPEN,
     State.OPEN, State.HALF_CLOSED_LOCAL, State.OPEN, State.HALF_CLOSED_LOCAL, State.RESET_BY_US),
    # HALF_CLOSED_REMOTE
    (_STREAM_CLOSED, _STREAM_CLOSED, _STREAM_CLOSED, _STREAM_CLOSED, State.RESET_BY_PEER,
     State.HALF_CLOSED_REMOTE,
     State.HALF_CLOSED_REMOTE, State.ENDED, State.HALF_CLOSED_REMOTE, State.ENDED, State.RESET_BY_US),
    # HALF_CLOSED_LOCAL
    (_NOT_TRAILERS, State.ENDED, State.HALF_CLOSED_LOCAL, State.ENDED, State.RESET_BY_PEER,
     State.HALF_CLOSED_LOCAL,
     FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, State.RESET_BY_US),
    # ENDED
    (_LONG_CLOSED, _LONG_CLOSED, _LONG_CLOSED, _LONG_CLOSED, IGNORED, IGNORED,
     FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, IGNORED),
    # RESET_BY_US
    (IGNORED, IGNORED, IGNORED, IGNORED, IGNORED, IGNORED,
     IGNORED, IGNORED, IGNORED, IGNORED, IGNORED),
    # RESET_BY_PEER
    (_STREAM_CLOSED, _STREAM_CLOSED, _STREAM_CLOSED, _STREAM_CLOSED, IGNORED, IGNORED,
     IGNORED, IGNORED, IGNORED, IGNORED, IGNORED),
)
# fmt: on

#: From here on a stream is closed.
FIRST_CLOSED = _ENDED = State.ENDED


class Stream:
    """One stream that is not closed.

    :param state: OPEN or HALF_CLOSED_REMOTE.
    :param send_window: what the peer lets us send on it, in bytes.
    :param receive_window: what we let it send, in bytes.
    :param content_length: the body's length its headers announced, None if they did not.
    """

    __slots__ = ("body_left", "receive_window", "send_window", "state")

    def __init__(
        self, state: State, send_window: int, receive_window: int, content_length: int | None
    ) -> None:
        self.state = state
        self.send_window = SendWindow(send_window)
        self.receive_window = ReceiveWindow(receive_window)
        self.body_left = content_length

    def data_received(self, size: int, body_size: int, ended: bool) -> None:
        """DATA of ``size`` bytes came, ``body_size`` without padding; ``ended`` says that it is the last.

        :raises StreamViolation: it is more than the window, or not what content-length said
            (RFC 9113 sections 6.9 and 8.1.1).
        """
        if not self.receive_window.receive(size):
            raise StreamViolation(
                ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the stream's window"
            )
        if self.body_left is None:
            return
        self.body_left -= body_size
        if self.body_left < 0 or (ended and self.body_left):
            raise StreamViolation(ErrorCode.PROTOCOL_ERROR, "not as long as content-length says")


class ClosedStreams:
    """How the streams that closed last were closed. Those forgotten have ENDED.

    :param limit: how many are remembered.
    """

    __slots__ = ("_limit", "_states")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._states: dict[int, State] = {}

    def add(self, stream_id: int, state: State) -> None:
        """Remember ``stream_id``; the oldest is forgotten beyond the limit."""
        # For most streams, then, nothing is to be remembered.
        if state == _ENDED:
            return
        self._states[stream_id] = state
        if len(self._states) > self._limit:
            del self._states[next(iter(self._states))]

    def get(self, stream_id: int) -> State:
        """How it closed."""
        return self._states.get(stream_id, _ENDED)
