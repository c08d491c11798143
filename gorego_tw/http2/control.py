"""The frames that carry no request: settings, windows, PINGs, priorities, farewells."""

from __future__ import annotations

from gorego_tw.http2 import settings
from gorego_tw.http2.errors import ConnectionViolation, ErrorCode, StreamViolation
from gorego_tw.http2.events import (
    Event,
    PeerGoingAway,
    PingAcknowledged,
    SettingsApplied,
    WindowOpened,
)
from gorego_tw.http2.frames import ACK, MASK_31, FrameType, require_length, require_stream
from gorego_tw.http2.limits import Budget, Limits
from gorego_tw.http2.sending import SendingHalf
from gorego_tw.http2.settings import DEFAULT_WINDOW, Setting
from gorego_tw.http2.stream import Input
from gorego_tw.http2.windows import SendWindow, WindowOverflow


class ControlFrames(SendingHalf):
    """Takes them, and answers those that want an answer.

    :param limits: how many of each the peer may send, and what our SETTINGS announce.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._limits = limits
        self._events: list[Event] = []
        self._now = 0.0
        self._peer_window = DEFAULT_WINDOW  # the peer's INITIAL_WINDOW_SIZE
        # Ours counts once the peer has acknowledged it. A larger one than the default does no harm before.
        self._stream_window = max(DEFAULT_WINDOW, limits.initial_window_size)
        self._acknowledged = False
        self._sent_before_ping = 0
        self._pings = Budget(limits.pings)
        self._settings = Budget(limits.settings)
        self._idle = Budget(limits.idle_frames)
        self._queue.settings(
            {
                Setting.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
                Setting.INITIAL_WINDOW_SIZE: limits.initial_window_size,
                Setting.MAX_FRAME_SIZE: limits.max_frame_size,
                Setting.MAX_HEADER_LIST_SIZE: limits.max_header_list_size,
            }
        )
        # The connection's window has no setting: it can only grow, from its default.
        if limits.connection_window_size > DEFAULT_WINDOW:
            self._queue.window_update(0, limits.connection_window_size - DEFAULT_WINDOW)

    def _settings_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_stream(FrameType.SETTINGS, stream_id, none=True)
        if flags & ACK:
            require_length(FrameType.SETTINGS, payload, 0)
            self._settings_acknowledged()
            return
        self._spend(self._settings, "SETTINGS frames")
        changes = settings.parse(payload)
        if Setting.MAX_FRAME_SIZE in changes:
            self._queue.allow_frames(changes[Setting.MAX_FRAME_SIZE])
        self._queue.settings_ack()
        if Setting.INITIAL_WINDOW_SIZE in changes:
            self._change_send_windows(changes[Setting.INITIAL_WINDOW_SIZE])
        self._events.append(SettingsApplied(changes))

    def _settings_acknowledged(self) -> None:
        """Our SETTINGS are in force: streams that began before have less room from now on."""
        if self._acknowledged:
            self._spend(self._idle, "acknowledgements of SETTINGS")
            return
        self._acknowledged = True
        surplus = self._stream_window - self._limits.initial_window_size
        self._stream_window -= surplus
        for stream in self._streams.open.values():
            stream.receive_window.shrink(surplus)

    def _change_send_windows(self, size: int) -> None:
        """RFC 9113 section 6.9.2: every stream's window changes by the difference."""
        difference, self._peer_window = size - self._peer_window, size
        for stream_id, stream in self._streams.open.items():
            self._grow(stream_id, stream.send_window, difference, ConnectionViolation)

    def _ping_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_stream(FrameType.PING, stream_id, none=True)
        require_length(FrameType.PING, payload, 8)
        if flags & ACK:
            self._spend(self._idle, "acknowledgements of PINGs")
            self._events.append(PingAcknowledged(payload))
            return
        # Who measures the connection sends a PING for every burst of data, however fast they come.
        sent = self._send_window.sent
        if sent == self._sent_before_ping:
            self._spend(self._pings, "PINGs")
        self._sent_before_ping = sent
        self._queue.ping(payload, ack=True)

    def _goaway_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_stream(FrameType.GOAWAY, stream_id, none=True)
        if len(payload) < 8:
            raise ConnectionViolation(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of less than 8 bytes")
        self._spend(self._idle, "GOAWAY frames")
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

    def _priority_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        require_stream(FrameType.PRIORITY, stream_id)
        self._spend(self._idle, "PRIORITY frames")
        # A stream that never was cannot be reset (RFC 9113 section 6.4).
        unused = self._streams.is_new(stream_id)
        violation = ConnectionViolation if unused else StreamViolation
        if len(payload) != 5:
            raise violation(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is 5 bytes")
        if int.from_bytes(payload[:4], "big") & MASK_31 == stream_id:
            raise violation(ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    def _push_promise_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _spend(self, budget: Budget, what: str) -> None:
        if not budget.spend(self._now):
            raise ConnectionViolation(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")
