"""The half of a connection that sends: orders to frames."""

from __future__ import annotations

from gorego_tw.http2.errors import ErrorCode, LocalProtocolError
from gorego_tw.http2.frame_queue import FrameQueue
from gorego_tw.http2.frames import MASK_31
from gorego_tw.http2.limits import Limits
from gorego_tw.http2.settings import DEFAULT_WINDOW
from gorego_tw.http2.stream import TABLE, Input, State, Stream
from gorego_tw.http2.stream_map import StreamMap
from gorego_tw.http2.windows import ReceiveWindow, SendWindow

# A member of an enumeration takes longer to find than most of what is done with it here.
_OPEN, _HEADERS_END = State.OPEN, Input.SEND_HEADERS_END
_DATA = Input.SEND_DATA


class SendingHalf:
    """Queues frames as the streams' states and the peer's windows allow.

    An order on a stream that was reset is without effect: whoever gives it may not have been told yet.

    :param limits: what the peer may make us hold.
    """

    def __init__(self, limits: Limits) -> None:
        self._queue = FrameQueue()
        self._streams = StreamMap(limits)
        self._send_window = SendWindow(DEFAULT_WINDOW)
        self._receive_window = ReceiveWindow(max(DEFAULT_WINDOW, limits.connection_window_size))
        #: Whether the connection is over; every call is then without effect.
        self.closed = False

    def respond(self, stream_id: int, block: bytes) -> None:
        """Open the answer with a block of headers.

        :raises LocalProtocolError: the stream does not allow it.
        """
        if self._sent(stream_id, Input.SEND_HEADERS) is not None:
            self._queue.block(stream_id, block, last=False)

    def send(self, stream_id: int, *pieces: bytes | memoryview) -> None:
        """Send the pieces, one after the other in as few frames as the peer takes. They must not change until
        :meth:`bytes_to_send`.

        :raises LocalProtocolError: it is more than :meth:`sendable`, or the stream does not allow it.
        """
        stream = self._sent(stream_id, _DATA)
        if stream is None:
            return
        size = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        if size > self._send_window.size or size > stream.send_window.size:
            raise LocalProtocolError(f"stream {stream_id}: {size} bytes exceed a window")
        self._send_window.size -= size
        stream.send_window.size -= size
        self._queue.data(stream_id, pieces, size)

    def finish(self, stream_id: int, block: bytes) -> None:
        """End the answer with a block: trailers, or all there is to say.

        :raises LocalProtocolError: the stream does not allow it.
        """
        if self._sent(stream_id, _HEADERS_END) is not None:
            self._queue.block(stream_id, block, last=True)

    def end(self, stream_id: int) -> None:
        """End the answer without trailers.

        :raises LocalProtocolError: the stream does not allow it.
        """
        if self._sent(stream_id, Input.SEND_DATA_END) is not None:
            self._queue.end(stream_id)

    def respond_and_finish(
        self, stream_id: int, headers: bytes, data: bytes, trailers: bytes
    ) -> bool:
        """A whole answer; False, and nothing done, if ``data`` does not fit in the windows.

        :raises LocalProtocolError: the stream does not allow it.
        """
        stream = self._streams.open.get(stream_id)
        size = len(data)
        if stream is not None and not self.closed:
            if size > self._send_window.size or size > stream.send_window.size:
                return False
            outcome = TABLE[stream.state][_HEADERS_END]
            if isinstance(outcome, State) and self._queue.answer(
                stream_id, headers, data, trailers
            ):
                self._send_window.size -= size
                self._streams.move(stream_id, stream, outcome)
                return True
        self.respond(stream_id, headers)
        self.send(stream_id, data)
        self.finish(stream_id, trailers)
        return True

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """End the stream at once; nothing if it is closed."""
        if stream_id in self._streams.open and not self.closed:
            self._streams.reset(stream_id)
            self._queue.reset(stream_id, code)

    def acknowledge(self, stream_id: int, n: int) -> None:
        """``n`` flow-controlled bytes were consumed: the peer may send as many again."""
        if self.closed:
            return
        self._consumed(n)
        stream = self._streams.open.get(stream_id)
        if stream is not None and stream.state == _OPEN:
            increment = stream.receive_window.consume(n)
            if increment:
                self._queue.window_update(stream_id, increment)

    def ping(self, payload: bytes) -> None:
        """Send a PING of eight bytes; its answer is an event."""
        if not self.closed:
            self._queue.ping(payload, ack=False)

    def shut_down(self) -> None:
        """Tell the peer to open no more streams; those it has opened meanwhile are still served."""
        if not self.closed:
            self._queue.goaway(MASK_31, ErrorCode.NO_ERROR, b"")

    def goaway(self, code: ErrorCode, debug: bytes = b"") -> None:
        """Tell the peer which stream is the last served; later ones are not."""
        if not self.closed:
            self._streams.refusing = True
            self._queue.goaway(self._streams.last_id, code, debug)

    def bytes_to_send(self) -> bytes:
        """All that is queued."""
        return b"".join(self._queue.take())

    def pieces_to_send(self) -> list[bytes | memoryview]:
        """All that is queued, what :meth:`send` was given without a copy."""
        return self._queue.take()

    @property
    def has_output(self) -> bool:
        """Whether something is queued."""
        return bool(self._queue)

    @property
    def open_stream_count(self) -> int:
        """How many streams are not closed."""
        return 0 if self.closed else len(self._streams.open)

    def sendable(self, stream_id: int) -> int:
        """How many bytes may be sent on the stream now; 0 for one that is closed."""
        stream = self._streams.open.get(stream_id)
        if stream is None or self.closed:
            return 0
        return max(0, min(self._send_window.size, stream.send_window.size))

    def _sent(self, stream_id: int, sent: Input) -> Stream | None:
        return None if self.closed else self._streams.sent(stream_id, sent)

    def _consumed(self, n: int) -> None:
        increment = self._receive_window.consume(n)
        if increment:
            self._queue.window_update(0, increment)
