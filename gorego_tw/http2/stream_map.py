"""The streams of one connection: those that are open, and how the others closed."""

from __future__ import annotations

from gorego_tw.http2.errors import (
    ConnectionViolation,
    ErrorCode,
    LocalProtocolError,
    StreamViolation,
)
from gorego_tw.http2.limits import Limits
from gorego_tw.http2.stream import (
    FIRST_CLOSED,
    IGNORED,
    TABLE,
    ClosedStreams,
    Input,
    Refused,
    State,
    Stream,
)


class StreamMap:
    """Finds streams by number and moves them along the table.

    :param limits: how many may be open, how many closed ones are remembered.
    """

    __slots__ = ("_closed", "_max_open", "last_id", "open", "refusing")

    def __init__(self, limits: Limits) -> None:
        self._max_open = limits.max_concurrent_streams
        self._closed = ClosedStreams(limits.max_closed_streams)
        #: The streams that are not closed.
        self.open: dict[int, Stream] = {}
        #: The highest number the peer has used.
        self.last_id = 0
        #: Whether new streams are passed over: the final GOAWAY is sent.
        self.refusing = False

    def is_new(self, stream_id: int) -> bool:
        """Whether a number was never used, or is none a client may use."""
        return stream_id > self.last_id or stream_id % 2 == 0

    def begin(self, stream_id: int) -> bool:
        """Use up a new number; False if its stream is to be passed over.

        :raises ConnectionViolation: the number is not a client's.
        :raises StreamViolation: too many are open.
        """
        if stream_id % 2 == 0:
            raise ConnectionViolation(
                ErrorCode.PROTOCOL_ERROR, f"stream {stream_id}; a client's streams are odd"
            )
        if self.refusing:
            return False
        self.last_id = stream_id
        if len(self.open) >= self._max_open:
            raise StreamViolation(ErrorCode.REFUSED_STREAM, "too many streams at once")
        return True

    def received(self, stream_id: int, stream: Stream | None, received: Input) -> State | None:
        """The state that ``received`` leads to; None where it is to be ignored.

        :raises StreamViolation, ConnectionViolation: it must not come now.
        """
        state = self._state_of(stream_id) if stream is None else stream.state
        outcome = TABLE[state][received]
        if isinstance(outcome, State):
            return outcome
        if state == State.IDLE and self.refusing and stream_id % 2:
            return None
        if isinstance(outcome, Refused):
            violation = ConnectionViolation if outcome.ends_connection else StreamViolation
            raise violation(outcome.code, f"{received.name} on a stream that is {state.name}")
        return None

    def sent(self, stream_id: int, sent: Input) -> Stream | None:
        """The stream, moved on by what we send; None if it was reset meanwhile.

        Whoever sends may not have been told of the reset: its event may still be on its way.

        :raises LocalProtocolError: we must not send this now.
        """
        stream = self.open.get(stream_id)
        state = self._state_of(stream_id) if stream is None else stream.state
        outcome = TABLE[state][sent]
        if stream is not None and isinstance(outcome, State):
            if outcome != state:
                self.move(stream_id, stream, outcome)
            return stream
        if outcome is IGNORED:
            return None
        raise LocalProtocolError(f"stream {stream_id}: {sent.name} where it is {state.name}")

    def move(self, stream_id: int, stream: Stream, state: State) -> None:
        """The stream is in ``state`` from now on."""
        stream.state = state
        if state >= FIRST_CLOSED:
            del self.open[stream_id]
            self._closed.add(stream_id, state)

    def reset(self, stream_id: int) -> bool:
        """The stream is reset by us; whether it was open."""
        stream = self.open.get(stream_id)
        if stream is not None:
            self.move(stream_id, stream, State.RESET_BY_US)
        elif not self.is_new(stream_id):
            self._closed.add(stream_id, State.RESET_BY_US)
        return stream is not None

    def _state_of(self, stream_id: int) -> State:
        return State.IDLE if self.is_new(stream_id) else self._closed.get(stream_id)
