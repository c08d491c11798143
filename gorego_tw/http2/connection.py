"""One HTTP/2 connection, the server's side: frames to events, orders to frames."""

from __future__ import annotations

from collections.abc import Callable

from gorego_tw.http2 import settings
from gorego_tw.http2.errors import (
    ConnectionViolation,
    ErrorCode,
    StreamViolation,
)
from gorego_tw.http2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PeerGoingAway,
    PingAcknowledged,
    RequestStarted,
    SettingsApplied,
    StreamReset,
    TrailersReceived,
    WindowOpened,
)
from gorego_tw.http2.frame_buffer import FrameBuffer
from gorego_tw.http2.frames import (
    ACK,
    END_STREAM,
    MASK_31,
    PADDED,
    FrameType,
    require_length,
    require_stream,
    unpadded,
)
from gorego_tw.http2.headers import Headers
from gorego_tw.http2.hpack import CompressionError, Decoder, HeaderListTooLarge
from gorego_tw.http2.limits import Budget, Limits
from gorego_tw.http2.sending import SendingHalf
from gorego_tw.http2.settings import DEFAULT_WINDOW, Setting
from gorego_tw.http2.stream import Input, State, Stream
from gorego_tw.http2.windows import SendWindow, WindowOverflow


class ServerConnection(SendingHalf):
    """The state of one connection. What is to be sent is queued for :meth:`bytes_to_send`.

    :param limits: what the peer may make us hold.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits = Limits() if limits is None else limits
        super().__init__(limits)
        self._buffer = FrameBuffer(limits)
        self._decoder = Decoder(limits.max_header_list_size)
        self._events: list[Event] = []
        self._peer_window = DEFAULT_WINDOW  # the peer's INITIAL_WINDOW_SIZE
        self._settings_received = False
        self._now = 0.0
        self._resets = Budget(limits.resets)
        self._pings = Budget(limits.pings)
        self._settings = Budget(limits.settings)
        self._idle = Budget(limits.idle_frames)
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
        self._queue.settings(
            {
                Setting.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
                Setting.INITIAL_WINDOW_SIZE: limits.initial_window_size,
                Setting.MAX_FRAME_SIZE: limits.max_frame_size,
                Setting.MAX_HEADER_LIST_SIZE: limits.max_header_list_size,
            }
        )
        self._queue.window_update(0, limits.connection_window_size - DEFAULT_WINDOW)

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
                if not self._settings_received:
                    _require_settings(frame_type)
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
        require_stream(FrameType.DATA, stream_id)
        size = len(payload)
        if not self._receive_window.receive(size):
            raise ConnectionViolation(
                ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window"
            )
        if flags & PADDED:
            payload = unpadded(payload)
        ended = bool(flags & END_STREAM)
        if not size and not ended:
            self._spend(self._idle, "empty DATA frames")
        wanted = False
        try:
            wanted = self._body_received(stream_id, payload, size, ended)
        finally:
            # What nobody will consume is given back here, whatever became of the stream.
            if not wanted:
                self._consumed(size)
        if wanted:
            self._events.append(DataReceived(stream_id, payload, size, ended))

    def _body_received(self, stream_id: int, payload: bytes, size: int, ended: bool) -> bool:
        """Whether somebody wants ``payload``: not after we have answered."""
        stream = self._streams.open.get(stream_id)
        received = Input.RECEIVE_DATA_END if ended else Input.RECEIVE_DATA
        state = self._streams.received(stream_id, stream, received)
        if stream is None or state is None:
            return False
        if not stream.receive_window.receive(size):
            raise StreamViolation(
                ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the stream's window"
            )
        stream.body_received(len(payload), ended)
        answered = stream.state == State.HALF_CLOSED_LOCAL
        if state != stream.state:
            self._streams.move(stream_id, stream, state)
        return not answered

    def _headers_frame(self, flags: int, stream_id: int, block: bytes) -> None:
        require_stream(FrameType.HEADERS, stream_id)
        # First of all, whatever becomes of the stream, or the tables of both sides differ.
        headers = self._decoded(block)
        ended = bool(flags & END_STREAM)
        stream = self._streams.open.get(stream_id)
        if stream is None and self._streams.is_new(stream_id):
            if self._streams.begin(stream_id):
                self._request_received(stream_id, headers, ended)
            return
        received = Input.RECEIVE_HEADERS_END if ended else Input.RECEIVE_HEADERS
        state = self._streams.received(stream_id, stream, received)
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
        headers = _checked(headers, is_request=True)
        if ended and headers.content_length:
            raise StreamViolation(ErrorCode.PROTOCOL_ERROR, "content-length without DATA")
        self._streams.open[stream_id] = Stream(
            State.HALF_CLOSED_REMOTE if ended else State.OPEN,
            self._peer_window,
            self._limits.initial_window_size,
            headers.content_length,
        )
        self._events.append(RequestStarted(stream_id, headers, ended))

    def _trailers_received(
        self, stream_id: int, stream: Stream, state: State, headers: Headers | None
    ) -> None:
        headers = _checked(headers, is_request=False)
        stream.body_received(0, ended=True)
        answered = stream.state == State.HALF_CLOSED_LOCAL
        self._streams.move(stream_id, stream, state)
        if not answered:
            self._events.append(TrailersReceived(stream_id, headers))

    def _priority_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_stream(FrameType.PRIORITY, stream_id)
        self._spend(self._idle, "PRIORITY frames")
        if len(payload) != 5:
            raise StreamViolation(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is 5 bytes")
        if int.from_bytes(payload[:4], "big") & MASK_31 == stream_id:
            raise StreamViolation(ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    def _reset_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_length(FrameType.RST_STREAM, payload, 4)
        stream = self._streams.open.get(stream_id)
        state = self._streams.received(stream_id, stream, Input.RECEIVE_RESET)
        self._spend(self._resets, "streams opened and reset")
        if stream is not None and state is not None:
            self._streams.move(stream_id, stream, state)
            self._events.append(StreamReset(stream_id, int.from_bytes(payload, "big"), True))

    def _settings_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_stream(FrameType.SETTINGS, stream_id, none=True)
        if flags & ACK:
            require_length(FrameType.SETTINGS, payload, 0)
            return
        self._spend(self._settings, "SETTINGS frames")
        changes = settings.parse(payload)
        self._settings_received = True
        if Setting.MAX_FRAME_SIZE in changes:
            self._queue.allow_frames(changes[Setting.MAX_FRAME_SIZE])
        self._queue.settings_ack()
        if Setting.INITIAL_WINDOW_SIZE in changes:
            self._change_windows(changes[Setting.INITIAL_WINDOW_SIZE])
        self._events.append(SettingsApplied(changes))

    def _change_windows(self, size: int) -> None:
        """RFC 9113 section 6.9.2: every stream's window changes by the difference."""
        difference, self._peer_window = size - self._peer_window, size
        for stream_id, stream in self._streams.items():
            self._grow(stream_id, stream.send_window, difference, ConnectionViolation)

    def _push_promise_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _ping_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_stream(FrameType.PING, stream_id, none=True)
        require_length(FrameType.PING, payload, 8)
        if flags & ACK:
            self._events.append(PingAcknowledged(payload))
            return
        self._spend(self._pings, "PINGs")
        self._queue.ping(payload, ack=True)

    def _goaway_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_stream(FrameType.GOAWAY, stream_id, none=True)
        if len(payload) < 8:
            raise ConnectionViolation(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of less than 8 bytes")
        last = int.from_bytes(payload[:4], "big") & MASK_31
        code = int.from_bytes(payload[4:8], "big")
        self._events.append(PeerGoingAway(last, code, payload[8:]))

    def _window_update_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_length(FrameType.WINDOW_UPDATE, payload, 4)
        increment = int.from_bytes(payload, "big") & MASK_31
        window = self._send_window
        violation: type[ConnectionViolation | StreamViolation] = ConnectionViolation
        if stream_id:
            stream = self._streams.open.get(stream_id)
            self._streams.received(stream_id, stream, Input.RECEIVE_WINDOW)
            if stream is None:
                return
            window, violation = stream.send_window, StreamViolation
        if increment == 0:
            raise violation(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        self._grow(stream_id, window, increment, violation)

    def _grow(
        self,
        stream_id: int,
        window: SendWindow,
        increment: int,
        violation: type[ConnectionViolation | StreamViolation],
    ) -> None:
        try:
            opened = window.grow(increment)
        except WindowOverflow as error:
            raise violation(ErrorCode.FLOW_CONTROL_ERROR, str(error)) from None
        if opened:
            self._events.append(WindowOpened(stream_id))

    def _spend(self, budget: Budget, what: str) -> None:
        if not budget.spend(self._now):
            raise ConnectionViolation(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")

    def _end_stream(self, stream_id: int, violation: StreamViolation) -> None:
        self._queue.reset(stream_id, violation.code)
        if self._streams.reset(stream_id):
            self._events.append(StreamReset(stream_id, violation.code, False))
        self._spend(self._resets, "streams that broke the rules")

    def _terminate(self, violation: ConnectionViolation) -> None:
        self._queue.goaway(self._streams.last_id, violation.code, violation.message.encode())
        self.closed = True
        self._events.append(ConnectionTerminated(violation.code, violation.message))


def _require_settings(frame_type: int) -> None:
    if frame_type != FrameType.SETTINGS:
        raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")


def _checked(headers: Headers | None, *, is_request: bool) -> Headers:
    """``headers``, if they are a request's or trailers, as they should be."""
    if headers is None:
        raise StreamViolation(ErrorCode.ENHANCE_YOUR_CALM, "a header list larger than allowed")
    if headers.malformed is not None:
        raise StreamViolation(ErrorCode.PROTOCOL_ERROR, headers.malformed)
    if headers.is_request != is_request:
        raise StreamViolation(
            ErrorCode.PROTOCOL_ERROR,
            "no pseudo-headers in a request" if is_request else "pseudo-headers in trailers",
        )
    return headers
