"""The frames of a connection that has one call at a time (RFC 9113), without a socket.

It says where the next bytes of the socket go, and is told how many came. What is data of a blob goes to
where the reader has room for it, and the header of the next frame is taken along.
"""

from __future__ import annotations

from collections.abc import Callable

from gorego_tw.errors import StatusError, Unavailable
from gorego_tw.http2 import settings
from gorego_tw.http2.errors import ConnectionViolation, ErrorCode
from gorego_tw.http2.frame_queue import FrameQueue
from gorego_tw.http2.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HEADER,
    HEADER_BYTES,
    MASK_31,
    PADDED,
    PRIORITY_FLAG,
    FrameType,
    require_length,
    unpadded,
)
from gorego_tw.http2.header_rules import Field
from gorego_tw.http2.hpack import CompressionError, Decoder, HeaderListTooLarge
from gorego_tw.remote.bulk.answer import is_informational, outcome, refusal, reset
from gorego_tw.remote.bulk.messages import Messages, Part

#: The largest DATA frame that the peer may send, in bytes: few headers, and nothing of it is held.
MAX_FRAME_BYTES = 1024 * 1024

#: The largest frame of any other kind, and the largest header block; they are held.
_MAX_HELD_BYTES = 64 * 1024

_PRIORITY_BYTES = 5

# A member of an enumeration takes longer to find than most of what is done with it here.
_DATA, _IN_DATA = int(FrameType.DATA), Part.DATA

_NO_ROOM = memoryview(bytearray())


class Incoming:
    """What has come.

    :param queue: takes what has to be answered.
    :param window_bytes: how much the peer may send before it hears of room for more. All of a frame
        counts as taken when it begins: whoever is slow does not read from the socket.
    :ivar landed: how many bytes have come that are not taken yet.
    :ivar ended: whether the call is over.
    :ivar failure: why it failed, if it did.
    :ivar going_away: whether the peer takes no more calls.
    """

    def __init__(self, queue: FrameQueue, window_bytes: int) -> None:
        self.landed = 0
        self.ended = True
        self.failure: StatusError | None = None
        self.going_away = False
        self._room = _NO_ROOM
        self._queue = queue
        self._window_bytes = window_bytes
        self._stream_id = -1
        self._messages = Messages()
        self._decoder = Decoder(_MAX_HELD_BYTES)
        self._head = memoryview(bytearray(HEADER_BYTES))
        self._have = 0  # bytes of the header, or of what is held
        self._type, self._flags, self._frame_stream = -1, 0, 0
        self._held: memoryview | None = None  # the payload of a frame that is no DATA
        self._left = 0  # bytes of the DATA frame, without padding
        self._padding = -1  # bytes of padding; -1 while its length is not known
        self._small = memoryview(bytearray(1024))
        self._block: bytes | None = None  # a header block that is not complete
        self._block_flags = 0
        self._answered = False  # the headers of the answer have come
        self._greeted = False  # the first frame has come
        self._untold = 0  # bytes that came since the peer heard of room
        self._on_frame: dict[int, Callable[[bytes], None]] = {
            FrameType.HEADERS: self._headers_frame,
            FrameType.CONTINUATION: self._continuation_frame,
            FrameType.RST_STREAM: self._reset_frame,
            FrameType.SETTINGS: self._settings_frame,
            FrameType.PING: self._ping_frame,
            FrameType.GOAWAY: self._goaway_frame,
            FrameType.PUSH_PROMISE: self._push_promise_frame,
        }

    def begin(self, stream_id: int) -> None:
        """A call was made on that stream."""
        self._stream_id = stream_id
        self._messages = Messages()
        self._answered = self.ended = False
        self.failure = None

    def give(self, room: memoryview) -> None:
        """The next data goes there."""
        self._room, self.landed = room, 0

    def take(self) -> memoryview:
        """What has come of it. There is no room for more until some is given."""
        piece = self._room[: self.landed]
        self._room, self.landed = _NO_ROOM, 0
        return piece

    def buffers(self) -> list[memoryview]:
        """Where the next bytes go; nowhere as long as there is data and no room for it."""
        if self._type != _DATA:
            return [(self._head if self._held is None else self._held)[self._have :]]
        if self._padding < 0:
            return [self._small[:1]]
        if not self._left:
            return [self._small[: min(self._padding, len(self._small))]]
        messages = self._messages
        if messages.part is not _IN_DATA:
            wanted = messages.wanted_bytes(len(self._room) - self.landed)
            return [self._small[: min(wanted, self._left)]]
        room = self._room[self.landed : self.landed + min(messages.left, self._left)]
        if len(room) == self._left and not self._padding:
            return [room, self._head]
        return [room] if room else []

    def received(self, count: int) -> None:
        """So many bytes came where they were to go.

        :raises ConnectionViolation: they are not what a peer may send.
        """
        if self._type == _DATA:
            self._data_received(count)
            return
        self._have += count
        if self._held is None:
            if self._have == HEADER_BYTES:
                self._frame_begins()
        elif self._have == len(self._held):
            self._held_frame(bytes(self._held))

    def _frame_begins(self) -> None:
        high, low, frame_type, flags, stream_id = HEADER.unpack(self._head)
        length = high << 8 | low
        self._have = 0
        self._type, self._flags, self._frame_stream = frame_type, flags, stream_id & MASK_31
        if not self._greeted and (frame_type != FrameType.SETTINGS or flags & ACK):
            raise _violation("the first frame is not SETTINGS")
        self._greeted = True
        if self._block is not None and frame_type != FrameType.CONTINUATION:
            raise _violation("a header block was interrupted")
        if frame_type == _DATA:
            self._data_begins(length)
        elif length > _MAX_HELD_BYTES:
            raise _violation(f"a frame of {length} bytes")
        elif length:
            self._held = memoryview(bytearray(length))
        else:
            self._held_frame(b"")

    def _held_frame(self, payload: bytes) -> None:
        self._held, self._have = None, 0
        frame_type, self._type = self._type, -1
        react = self._on_frame.get(frame_type)
        if react is not None:
            react(payload)

    # DATA

    def _data_begins(self, length: int) -> None:
        if self._frame_stream != self._stream_id or self.ended or not self._answered:
            raise _violation("DATA where there is no answer")
        if length > MAX_FRAME_BYTES:
            raise _violation(f"a frame of {length} bytes")
        self._untold += length
        if 4 * self._untold >= self._window_bytes:
            self._queue.window_update(0, self._untold)
            if not self._flags & END_STREAM:
                self._queue.window_update(self._stream_id, self._untold)
            self._untold = 0
        self._left, self._padding = length, 0
        if self._flags & PADDED:
            if not length:
                raise _violation("padding longer than the payload")
            self._padding = -1
        elif not length:
            self._data_ends()

    def _data_received(self, count: int) -> None:
        of_next = 0  # bytes of the header of the next frame
        if self._padding < 0:
            self._padding = self._small[0]
            self._left -= 1 + self._padding
            if self._left < 0:
                raise _violation("padding longer than the payload")
        elif not self._left:
            self._padding -= count
        else:
            of_next = self._body_received(count)
        if not self._left and not self._padding:
            self._data_ends()
            self._have = of_next
            if of_next == HEADER_BYTES:
                self._frame_begins()

    def _body_received(self, count: int) -> int:
        """Bytes of messages; returns how many of them were of the header of the next frame."""
        messages = self._messages
        if messages.part is _IN_DATA:
            body = min(count, messages.left, self._left)
            self.landed += body
            messages.data_taken(body)
        else:
            body = count
            try:
                data = messages.feed(bytes(self._small[:count]))
                self._room[self.landed : self.landed + len(data)] = data
                self.landed += len(data)
            except StatusError as error:
                self._end(error)
                raise _violation(error.message) from None
        self._left -= body
        return count - body

    def _data_ends(self) -> None:
        self._type = -1
        if self._flags & END_STREAM:
            self._end(outcome([]))

    # Other frames

    def _headers_frame(self, payload: bytes) -> None:
        if self._flags & PADDED:
            payload = unpadded(payload)
        if self._flags & PRIORITY_FLAG:
            payload = payload[_PRIORITY_BYTES:]
        self._block, self._block_flags = b"", self._flags
        self._continuation_frame(payload)

    def _continuation_frame(self, payload: bytes) -> None:
        if self._block is None or self._frame_stream != self._stream_id or self.ended:
            raise _violation("headers where there is no call")
        self._block += payload
        if len(self._block) > _MAX_HELD_BYTES:
            raise _violation("a header block without end")
        if self._flags & END_HEADERS:
            block, self._block = self._block, None
            try:
                fields = self._decoder.fields(block)
            except (CompressionError, HeaderListTooLarge) as error:
                raise _violation(str(error)) from None
            self._headers(fields, ended=self._block_flags & END_STREAM == END_STREAM)

    def _headers(self, fields: list[Field], *, ended: bool) -> None:
        if not self._answered:
            if not ended and is_informational(fields):
                return
            self._answered = True
            refused = refusal(fields)
            if refused is not None or ended:
                self._end(refused or outcome(fields))
                # What may come yet is nothing that anybody wants.
                self.going_away = self.going_away or not ended
        elif ended:
            failure = outcome(fields)
            if failure is None and not self._messages.between:
                failure = Unavailable("backing cache: the stream ended inside of a message")
            self._end(failure)
        else:
            raise _violation("headers inside of an answer")

    def _reset_frame(self, payload: bytes) -> None:
        require_length(FrameType.RST_STREAM, payload, 4)
        if self._frame_stream == self._stream_id and not self.ended:
            self._end(reset(int.from_bytes(payload, "big")))

    def _settings_frame(self, payload: bytes) -> None:
        if not self._flags & ACK:
            settings.parse(payload)
            self._queue.settings_ack()

    def _ping_frame(self, payload: bytes) -> None:
        require_length(FrameType.PING, payload, 8)
        if not self._flags & ACK:
            self._queue.ping(payload, ack=True)

    def _goaway_frame(self, payload: bytes) -> None:
        self.going_away = True
        last = int.from_bytes(payload[:4], "big") & MASK_31
        if not self.ended and last < self._stream_id:
            self._end(Unavailable("backing cache: it takes no more calls on this connection"))

    def _push_promise_frame(self, payload: bytes) -> None:
        raise _violation("PUSH_PROMISE, which was forbidden")

    def _end(self, failure: StatusError | None) -> None:
        self.ended = True
        self.failure = failure


def _violation(message: str) -> ConnectionViolation:
    # The code goes nowhere: who breaks the rules is hung up on.
    return ConnectionViolation(ErrorCode.PROTOCOL_ERROR, message)
