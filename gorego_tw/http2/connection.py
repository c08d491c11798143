"""One HTTP/2 connection, the server's side: frames to events, orders to frames."""

from __future__ import annotations

from collections.abc import Callable

from gorego_tw.http2.control import ControlFrames
from gorego_tw.http2.errors import ConnectionViolation, ErrorCode, StreamViolation
from gorego_tw.http2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestStarted,
    StreamReset,
    TrailersReceived,
)
from gorego_tw.http2.frame_buffer import FrameBuffer
from gorego_tw.http2.frames import END_STREAM, PADDED, FrameType, require_length, unpadded
from gorego_tw.http2.headers import Headers
from gorego_tw.http2.hpack import CompressionError, Decoder, HeaderListTooLarge
from gorego_tw.http2.limits import Budget, Limits
from gorego_tw.http2.stream import Input, State, Stream

# A member of an enumeration takes longer to find than most of what is done with it here.
_OPEN, _HALF_CLOSED_REMOTE = State.OPEN, State.HALF_CLOSED_REMOTE
_HALF_CLOSED_LOCAL = State.HALF_CLOSED_LOCAL
_DATA, _DATA_END = Input.RECEIVE_DATA, Input.RECEIVE_DATA_END

# What the constructor of a named tuple does, in half of its time.
_made = tuple.__new__


class ServerConnection(ControlFrames):
    """The state of one connection. What is to be sent is queued for :meth:`bytes_to_send`.

    :param limits: what the peer may make us hold.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        limits = Limits() if limits is None else limits
        super().__init__(limits)
        self._buffer = FrameBuffer(limits)
        self._decoder = Decoder(limits.max_header_list_size)
        self._resets = Budget(limits.resets)
        #: Streams that were more than the peer may open at once.
        self.streams_refused = 0
        self._on_frame: tuple[Callable[[int, int, bytes], None], ...] = (
            self._data_frame,
            self._headers_frame,
            self._priority_frame,
            self._reset_frame,
            self._settings_frame,
            self._push_promise_frame,
            self._ping_frame,
            self._goaway_frame,
            self._window_update_frame,
        )

    def receive(self, data: bytes, now: float = 0.0) -> list[Event]:
        """What ``data`` means. Total: the peer's faults are events and frames, never exceptions.

        :param now: the time in seconds, for the limits per second.
        """
        if self.closed:
            return []
        self._now = now
        events = self._events = []
        on_frame = self._on_frame
        try:
            for frame_type, flags, stream_id, payload in self._buffer.frames(data):
                try:
                    if frame_type < len(on_frame):
                        on_frame[frame_type](flags, stream_id, payload)
                    else:
                        self._spend(self._idle, "frames of unknown types")
                except StreamViolation as violation:
                    self._end_stream(stream_id, violation)
        except ConnectionViolation as violation:
            self._terminate(violation)
        return events

    def _data_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        if not self._receive_window.receive(size):
            raise ConnectionViolation(
                ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window"
            )
        if flags & PADDED:
            payload = unpadded(payload)
        ended = flags & END_STREAM == END_STREAM
        if not size and not ended:
            self._spend(self._idle, "empty DATA frames")
        stream = self._streams.open.get(stream_id)
        try:
            state = self._streams.received(stream_id, stream, _DATA_END if ended else _DATA)
            if stream is None or state is None:
                self._consumed(size)
                return
            stream.data_received(size, len(payload), ended)
        except StreamViolation:
            self._consumed(size)
            raise
        # Who has answered wants no more of the request.
        answered = stream.state == _HALF_CLOSED_LOCAL
        if ended:
            self._streams.move(stream_id, stream, state)
        if answered:
            self._consumed(size)
        else:
            self._events.append(_made(DataReceived, (stream_id, payload, size, ended)))

    def _headers_frame(self, flags: int, stream_id: int, block: bytes) -> None:
        # First of all, whatever becomes of the stream, or the tables of both sides differ.
        headers = self._decoder.known.get(block) or self._decoded(block)
        ended = flags & END_STREAM == END_STREAM
        streams = self._streams
        if stream_id > streams.last_id or stream_id % 2 == 0:
            if streams.begin(stream_id):
                self._request_received(stream_id, headers, ended)
            return
        stream = streams.open.get(stream_id)
        received = Input.RECEIVE_HEADERS_END if ended else Input.RECEIVE_HEADERS
        state = streams.received(stream_id, stream, received)
        if stream is not None and state is not None:
            self._trailers_received(stream_id, stream, state, headers)

    def _decoded(self, block: bytes) -> Headers | None:
        """The header list, None if it is too large."""
        try:
            return self._decoder.decode(block)
        except CompressionError as error:
            raise ConnectionViolation(ErrorCode.COMPRESSION_ERROR, str(error)) from None
        except HeaderListTooLarge:
            return None

    def _request_received(self, stream_id: int, headers: Headers | None, ended: bool) -> None:
        if headers is None or not headers.is_request:
            raise _violation(headers, "no pseudo-headers in a request")
        content_length = headers.content_length
        if ended and content_length:
            raise StreamViolation(ErrorCode.PROTOCOL_ERROR, "content-length without DATA")
        self._streams.open[stream_id] = Stream(
            _HALF_CLOSED_REMOTE if ended else _OPEN,
            self._peer_window,
            self._stream_window,
            content_length,
        )
        self._events.append(_made(RequestStarted, (stream_id, headers, ended)))

    def _trailers_received(
        self, stream_id: int, stream: Stream, state: State, headers: Headers | None
    ) -> None:
        if headers is None or headers.is_request or headers.malformed is not None:
            raise _violation(headers, "pseudo-headers in trailers")
        stream.data_received(0, 0, ended=True)
        answered = stream.state == _HALF_CLOSED_LOCAL
        self._streams.move(stream_id, stream, state)
        if not answered:
            self._events.append(TrailersReceived(stream_id, headers))

    def _reset_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_length(FrameType.RST_STREAM, payload, 4)
        stream = self._streams.open.get(stream_id)
        state = self._streams.received(stream_id, stream, Input.RECEIVE_RESET)
        if stream is None or state is None:
            return
        # What we have answered already was work wanted: clients reset uploads that we need no more of.
        if stream.state != _HALF_CLOSED_LOCAL:
            self._spend(self._resets, "streams opened and reset")
        self._streams.move(stream_id, stream, state)
        self._events.append(StreamReset(stream_id, int.from_bytes(payload, "big"), True))

    def _end_stream(self, stream_id: int, violation: StreamViolation) -> None:
        self.streams_refused += violation.code == ErrorCode.REFUSED_STREAM
        self._queue.reset(stream_id, violation.code)
        if self._streams.reset(stream_id):
            self._events.append(StreamReset(stream_id, violation.code, False))
        self._spend(self._resets, "streams that broke the rules")

    def _terminate(self, violation: ConnectionViolation) -> None:
        self._queue.goaway(self._streams.last_id, violation.code, violation.message.encode())
        self.closed = True
        self._events.append(ConnectionTerminated(violation.code, violation.message))


def _violation(headers: Headers | None, otherwise: str) -> StreamViolation:
    """What is wrong with a header list that cannot be taken."""
    if headers is None:
        return StreamViolation(ErrorCode.ENHANCE_YOUR_CALM, "a header list larger than allowed")
    return StreamViolation(ErrorCode.PROTOCOL_ERROR, headers.malformed or otherwise)
