"""One HTTP/2 connection, the server's side: frames to events, orders to frames."""

from __future__ import annotations

from collections.abc import Callable

from gorego_tw.http2 import settings
from gorego_tw.http2.errors import (
    ConnectionViolation,
    ErrorCode,
    LocalProtocolError,
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
    END_HEADERS,
    END_STREAM,
    HEADER,
    MASK_31,
    PADDED,
    FrameType,
    frame,
    head,
    require_length,
    unpadded,
)
from gorego_tw.http2.hpack import CompressionError, Decoder, HeaderListTooLarge
from gorego_tw.http2.limits import Budget, Limits
from gorego_tw.http2.settings import DEFAULT_FRAME_SIZE, DEFAULT_WINDOW, Setting
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
from gorego_tw.http2.windows import ReceiveWindow, SendWindow, WindowOverflow

#: DATA frames are not made larger than this, whatever the peer takes: other streams wait meanwhile.
MAX_DATA_FRAME = 65_536

#: Before our first header block: a table size update to 0. Our blocks never use a table, and so no
#: later SETTINGS_HEADER_TABLE_SIZE of the peer asks for another update (RFC 7541 section 4.2).
_NO_TABLE = b"\x20"


class ServerConnection:
    """The state of one connection. What is to be sent is queued for :meth:`bytes_to_send`.

    :param limits: what the peer may make us hold.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits = Limits() if limits is None else limits
        self._buffer = FrameBuffer(limits)
        self._decoder = Decoder(limits.max_header_list_size)
        self._out: list[bytes | memoryview] = []
        self._events: list[Event] = []
        self._streams: dict[int, Stream] = {}
        self._closed_streams = ClosedStreams(limits.max_closed_streams)
        self._last_stream_id = 0
        self._send_window = SendWindow(DEFAULT_WINDOW)
        self._receive_window = ReceiveWindow(limits.connection_window_size)
        self._peer_window = DEFAULT_WINDOW  # the peer's INITIAL_WINDOW_SIZE
        self._frame_size = DEFAULT_FRAME_SIZE
        self._block_prefix = _NO_TABLE
        self._settings_received = False
        self._refusing = False  # the final GOAWAY is sent
        self._now = 0.0
        self._resets = Budget(limits.resets)
        self._pings = Budget(limits.pings)
        self._settings = Budget(limits.settings)
        self._idle = Budget(limits.idle_frames)
        #: Whether the connection is over; every call is then without effect.
        self.closed = False
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
        self._greet()

    def _greet(self) -> None:
        limits = self._limits
        payload = settings.encode(
            {
                Setting.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
                Setting.INITIAL_WINDOW_SIZE: limits.initial_window_size,
                Setting.MAX_FRAME_SIZE: limits.max_frame_size,
                Setting.MAX_HEADER_LIST_SIZE: limits.max_header_list_size,
            }
        )
        self._out.append(frame(FrameType.SETTINGS, 0, 0, payload))
        self._grant(0, limits.connection_window_size - DEFAULT_WINDOW)

    # In

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
                if not self._settings_received and frame_type != FrameType.SETTINGS:
                    raise ConnectionViolation(
                        ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS"
                    )
                try:
                    if frame_type < len(on_frame):
                        on_frame[frame_type](flags, stream_id, payload)
                    else:
                        self._spend(self._idle, "frames of unknown types")
                except StreamViolation as violation:
                    self._end_stream_by_violation(stream_id, violation)
        except ConnectionViolation as violation:
            self._terminate(violation.code, violation.message)
            events.append(ConnectionTerminated(violation.code, violation.message))
        return events

    def _data_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        if stream_id == 0:
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "DATA on stream 0")
        if not self._receive_window.receive(size):
            raise ConnectionViolation(
                ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window"
            )
        if flags & PADDED:
            payload = unpadded(payload)
        ended = flags & END_STREAM
        stream = self._streams.get(stream_id)
        state = self._step(
            stream_id, stream, Input.RECEIVE_DATA_END if ended else Input.RECEIVE_DATA, size
        )
        if stream is None or state is None:
            self._consumed(size)
            return
        if not size and not ended:
            self._spend(self._idle, "empty DATA frames")
        if not stream.receive_window.receive(size):
            self._consumed(size)
            raise StreamViolation(
                ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the stream's window"
            )
        if not stream.body_received(len(payload), bool(ended)):
            self._consumed(size)
            raise StreamViolation(ErrorCode.PROTOCOL_ERROR, "not as long as content-length says")
        if stream.state == State.HALF_CLOSED_LOCAL:
            # We have answered already; what still comes is thrown away, and given back.
            self._move(stream_id, stream, state)
            self._consumed(size)
            return
        self._move(stream_id, stream, state)
        self._events.append(DataReceived(stream_id, payload, size, bool(ended)))

    def _headers_frame(self, flags: int, stream_id: int, block: bytes) -> None:
        # First of all, whatever becomes of the stream, or the tables of both sides differ.
        try:
            headers = self._decoder.decode(block)
        except CompressionError as error:
            raise ConnectionViolation(ErrorCode.COMPRESSION_ERROR, str(error)) from None
        except HeaderListTooLarge as error:
            headers = None
            too_large = str(error)
        ended = flags & END_STREAM
        stream = self._streams.get(stream_id)
        received = Input.RECEIVE_HEADERS_END if ended else Input.RECEIVE_HEADERS
        if stream is None and (stream_id > self._last_stream_id or stream_id % 2 == 0):
            if not self._opens(stream_id):
                return
            if headers is None:
                raise StreamViolation(ErrorCode.ENHANCE_YOUR_CALM, too_large)
            if headers.malformed is not None or not headers.is_request:
                raise StreamViolation(
                    ErrorCode.PROTOCOL_ERROR, headers.malformed or "no pseudo-headers"
                )
            if ended and headers.content_length:
                raise StreamViolation(ErrorCode.PROTOCOL_ERROR, "content-length without DATA")
            state = TABLE[State.IDLE][received]
            assert isinstance(state, State)
            self._streams[stream_id] = Stream(
                state,
                self._peer_window,
                self._limits.initial_window_size,
                headers.content_length,
            )
            self._events.append(RequestStarted(stream_id, headers, bool(ended)))
            return
        state_or_none = self._step(stream_id, stream, received, 0)
        if stream is None or state_or_none is None:
            return
        if headers is None:
            raise StreamViolation(ErrorCode.ENHANCE_YOUR_CALM, too_large)
        if headers.malformed is not None or headers.is_request:
            raise StreamViolation(
                ErrorCode.PROTOCOL_ERROR, headers.malformed or "pseudo-headers in trailers"
            )
        if not stream.body_received(0, True):
            raise StreamViolation(ErrorCode.PROTOCOL_ERROR, "not as long as content-length says")
        answered = stream.state == State.HALF_CLOSED_LOCAL
        self._move(stream_id, stream, state_or_none)
        if not answered:
            self._events.append(TrailersReceived(stream_id, headers))

    def _opens(self, stream_id: int) -> bool:
        """Whether a new stream is accepted; its number is used up in any case."""
        if stream_id % 2 == 0:
            raise ConnectionViolation(
                ErrorCode.PROTOCOL_ERROR, f"stream {stream_id}; a client's streams are odd"
            )
        if self._refusing:
            return False
        self._last_stream_id = stream_id
        if len(self._streams) >= self._limits.max_concurrent_streams:
            raise StreamViolation(ErrorCode.REFUSED_STREAM, "too many streams at once")
        return True

    def _priority_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        self._spend(self._idle, "PRIORITY frames")
        if len(payload) != 5:
            raise StreamViolation(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is 5 bytes")
        if int.from_bytes(payload[:4], "big") & MASK_31 == stream_id:
            raise StreamViolation(ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    def _reset_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_length(FrameType.RST_STREAM, payload, 4)
        stream = self._streams.get(stream_id)
        state = self._step(stream_id, stream, Input.RECEIVE_RESET, 0)
        self._spend(self._resets, "streams opened and reset")
        if stream is not None and state is not None:
            self._move(stream_id, stream, state)
            self._events.append(StreamReset(stream_id, int.from_bytes(payload, "big"), True))

    def _settings_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & ACK:
            require_length(FrameType.SETTINGS, payload, 0)
            return
        self._spend(self._settings, "SETTINGS frames")
        changes = settings.parse(payload)
        self._settings_received = True
        self._frame_size = min(
            MAX_DATA_FRAME, changes.get(Setting.MAX_FRAME_SIZE, self._frame_size)
        )
        self._out.append(frame(FrameType.SETTINGS, ACK, 0, b""))
        if Setting.INITIAL_WINDOW_SIZE in changes:
            self._change_windows(changes[Setting.INITIAL_WINDOW_SIZE])
        self._events.append(SettingsApplied(changes))

    def _change_windows(self, size: int) -> None:
        """RFC 9113 section 6.9.2: every stream's window changes by the difference."""
        difference, self._peer_window = size - self._peer_window, size
        for stream_id, stream in self._streams.items():
            try:
                opened = stream.send_window.grow(difference)
            except WindowOverflow as error:
                raise ConnectionViolation(ErrorCode.FLOW_CONTROL_ERROR, str(error)) from None
            if opened:
                self._events.append(WindowOpened(stream_id))

    def _push_promise_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _ping_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        require_length(FrameType.PING, payload, 8)
        if flags & ACK:
            self._events.append(PingAcknowledged(payload))
            return
        self._spend(self._pings, "PINGs")
        self._out.append(frame(FrameType.PING, ACK, 0, payload))

    def _goaway_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionViolation(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of less than 8 bytes")
        last = int.from_bytes(payload[:4], "big") & MASK_31
        code = int.from_bytes(payload[4:8], "big")
        self._events.append(PeerGoingAway(last, code, payload[8:]))

    def _window_update_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_length(FrameType.WINDOW_UPDATE, payload, 4)
        increment = int.from_bytes(payload, "big") & MASK_31
        if stream_id == 0:
            self._connection_window_update(increment)
            return
        stream = self._streams.get(stream_id)
        state = self._step(stream_id, stream, Input.RECEIVE_WINDOW, 0)
        if stream is None or state is None:
            return
        if increment == 0:
            raise StreamViolation(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        try:
            opened = stream.send_window.grow(increment)
        except WindowOverflow as error:
            raise StreamViolation(ErrorCode.FLOW_CONTROL_ERROR, str(error)) from None
        if opened:
            self._events.append(WindowOpened(stream_id))

    def _connection_window_update(self, increment: int) -> None:
        if increment == 0:
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        try:
            opened = self._send_window.grow(increment)
        except WindowOverflow as error:
            raise ConnectionViolation(ErrorCode.FLOW_CONTROL_ERROR, str(error)) from None
        if opened:
            self._events.append(WindowOpened(0))

    # Streams

    def _step(
        self, stream_id: int, stream: Stream | None, received: Input, size: int
    ) -> State | None:
        """The state that ``received`` leads to; None where it is to be ignored."""
        state = self._state_of(stream_id) if stream is None else stream.state
        if state == State.IDLE and self._refusing and stream_id % 2:
            return None
        outcome = TABLE[state][received]
        if isinstance(outcome, State):
            return outcome
        if isinstance(outcome, Refused):
            self._consumed(size)
            message = f"{received.name} on a stream that is {state.name}"
            if outcome.ends_connection:
                raise ConnectionViolation(outcome.code, message)
            raise StreamViolation(outcome.code, message)
        assert outcome is IGNORED
        return None

    def _state_of(self, stream_id: int) -> State:
        """The state of a stream that is not open."""
        if stream_id > self._last_stream_id or stream_id % 2 == 0:
            return State.IDLE
        return self._closed_streams.get(stream_id)

    def _move(self, stream_id: int, stream: Stream, state: State) -> None:
        stream.state = state
        if state >= FIRST_CLOSED:
            del self._streams[stream_id]
            self._closed_streams.add(stream_id, state)

    def _end_stream_by_violation(self, stream_id: int, violation: StreamViolation) -> None:
        self._out.append(_reset(stream_id, violation.code))
        self._spend(self._resets, "streams that broke the rules")
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._move(stream_id, stream, State.RESET_BY_US)
            self._events.append(StreamReset(stream_id, violation.code, False))
        elif stream_id <= self._last_stream_id:
            self._closed_streams.add(stream_id, State.RESET_BY_US)

    def _spend(self, budget: Budget, what: str) -> None:
        if not budget.spend(self._now):
            raise ConnectionViolation(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")

    # Out

    def respond(self, stream_id: int, block: bytes) -> None:
        """Open the answer with a block of headers.

        :raises LocalProtocolError: the stream does not allow it.
        """
        if self._send(stream_id, Input.SEND_HEADERS) is not None:
            self._queue_block(stream_id, block, 0)

    def send(self, stream_id: int, data: bytes | memoryview) -> None:
        """Send ``data``, which must not change until :meth:`bytes_to_send`.

        :raises LocalProtocolError: it is more than :meth:`sendable`, or the stream does not allow it.
        """
        stream = self._send(stream_id, Input.SEND_DATA)
        if stream is None:
            return
        size = len(data)
        if size > self._send_window.size or size > stream.send_window.size:
            raise LocalProtocolError(f"stream {stream_id}: {size} bytes exceed a window")
        self._send_window.size -= size
        stream.send_window.size -= size
        out, largest = self._out, self._frame_size
        if size <= largest:
            out.append(head(size, 0, 0, stream_id))
            out.append(data)
            return
        for at in range(0, size, largest):
            piece = data[at : at + largest]
            out.append(head(len(piece), 0, 0, stream_id))
            out.append(piece)

    def finish(self, stream_id: int, block: bytes) -> None:
        """End the answer with a block: trailers, or all there is to say.

        :raises LocalProtocolError: the stream does not allow it.
        """
        if self._send(stream_id, Input.SEND_HEADERS_END) is not None:
            self._queue_block(stream_id, block, END_STREAM)

    def end(self, stream_id: int) -> None:
        """End the answer without trailers.

        :raises LocalProtocolError: the stream does not allow it.
        """
        if self._send(stream_id, Input.SEND_DATA_END) is not None:
            self._out.append(head(0, 0, END_STREAM, stream_id))

    def respond_and_finish(
        self, stream_id: int, headers: bytes, data: bytes, trailers: bytes
    ) -> bool:
        """A whole answer; False, and nothing done, if ``data`` does not fit in the windows.

        :raises LocalProtocolError: the stream does not allow it.
        """
        stream = self._streams.get(stream_id)
        size = len(data)
        if (
            stream is not None
            and stream.state == State.HALF_CLOSED_REMOTE
            and size <= self._frame_size
            and size <= self._send_window.size
            and size <= stream.send_window.size
            and not self._block_prefix
            and len(headers) <= DEFAULT_FRAME_SIZE
        ):
            self._send_window.size -= size
            pack = HEADER.pack
            n, m = len(headers), len(trailers)
            self._out.append(
                b"".join(
                    (
                        pack(n >> 8, n & 0xFF, 1, END_HEADERS, stream_id),
                        headers,
                        pack(size >> 8, size & 0xFF, 0, 0, stream_id),
                        data,
                        pack(m >> 8, m & 0xFF, 1, END_HEADERS | END_STREAM, stream_id),
                        trailers,
                    )
                )
            )
            del self._streams[stream_id]
            return True
        if stream is not None and size > self.sendable(stream_id):
            return False
        self.respond(stream_id, headers)
        self.send(stream_id, data)
        self.finish(stream_id, trailers)
        return True

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """End the stream at once; nothing if it is closed."""
        stream = self._streams.get(stream_id)
        if stream is not None and not self.closed:
            self._move(stream_id, stream, State.RESET_BY_US)
            self._out.append(_reset(stream_id, code))

    def acknowledge(self, stream_id: int, n: int) -> None:
        """``n`` flow-controlled bytes were consumed: the peer may send as many again."""
        if self.closed:
            return
        self._consumed(n)
        stream = self._streams.get(stream_id)
        if stream is not None and stream.state == State.OPEN:
            self._grant(stream_id, stream.receive_window.consume(n))

    def ping(self, payload: bytes) -> None:
        """Send a PING of eight bytes; its answer is an event."""
        if not self.closed:
            self._out.append(frame(FrameType.PING, 0, 0, payload))

    def shut_down(self) -> None:
        """Tell the peer to open no more streams; those it has opened meanwhile are still served."""
        if not self.closed:
            self._queue_goaway(MASK_31, ErrorCode.NO_ERROR, b"")

    def goaway(self, code: ErrorCode, debug: bytes = b"") -> None:
        """Tell the peer which stream is the last served; later ones are not."""
        if not self.closed:
            self._refusing = True
            self._queue_goaway(self._last_stream_id, code, debug)

    def bytes_to_send(self) -> bytes:
        """All that is queued."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    @property
    def has_output(self) -> bool:
        """Whether something is queued."""
        return bool(self._out)

    @property
    def open_stream_count(self) -> int:
        """How many streams are not closed."""
        return len(self._streams)

    def sendable(self, stream_id: int) -> int:
        """How many bytes may be sent on the stream now; 0 for one that is closed."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        return max(0, min(self._send_window.size, stream.send_window.size))

    def _send(self, stream_id: int, sent: Input) -> Stream | None:
        """The stream, moved on; None if it was reset by an event that is still on its way to the caller."""
        if self.closed:
            return None
        stream = self._streams.get(stream_id)
        state = self._state_of(stream_id) if stream is None else stream.state
        outcome = TABLE[state][sent]
        if stream is not None and isinstance(outcome, State):
            if outcome != state:
                self._move(stream_id, stream, outcome)
            return stream
        if outcome is IGNORED:
            return None
        raise LocalProtocolError(f"stream {stream_id}: {sent.name} where it is {state.name}")

    def _queue_block(self, stream_id: int, block: bytes, flags: int) -> None:
        block, self._block_prefix = self._block_prefix + block, b""
        first, rest = block[: self._frame_size], block[self._frame_size :]
        frame_type = FrameType.HEADERS
        while rest:
            self._out.append(frame(frame_type, flags, stream_id, first))
            first, rest = rest[: self._frame_size], rest[self._frame_size :]
            frame_type, flags = FrameType.CONTINUATION, 0
        self._out.append(frame(frame_type, flags | END_HEADERS, stream_id, first))

    def _consumed(self, n: int) -> None:
        self._grant(0, self._receive_window.consume(n))

    def _grant(self, stream_id: int, increment: int) -> None:
        if increment:
            payload = increment.to_bytes(4, "big")
            self._out.append(frame(FrameType.WINDOW_UPDATE, 0, stream_id, payload))

    def _queue_goaway(self, last: int, code: ErrorCode, debug: bytes) -> None:
        payload = last.to_bytes(4, "big") + code.to_bytes(4, "big") + debug
        self._out.append(frame(FrameType.GOAWAY, 0, 0, payload))

    def _terminate(self, code: ErrorCode, message: str) -> None:
        self._queue_goaway(self._last_stream_id, code, message.encode())
        self.closed = True
        self._streams.clear()


def _reset(stream_id: int, code: ErrorCode) -> bytes:
    return frame(FrameType.RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))
