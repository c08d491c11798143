"""What a server sends, frame by frame our own choice, and a socket that gives it in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gorego_tw.grpc.framing import prefix
from gorego_tw.http2 import hpack
from gorego_tw.http2.frame_queue import FrameQueue
from gorego_tw.http2.frames import END_HEADERS, END_STREAM, PADDED, FrameType, frame
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadResponse
from gorego_tw.remote.bulk.incoming import Incoming

WINDOW = 1_000_000

SETTINGS = frame(FrameType.SETTINGS, 0, 0, b"")
RESPONSE = hpack.encode(((b":status", b"200"), (b"content-type", b"application/grpc")))
OK = hpack.encode(((b"grpc-status", b"0"),))


def message(data: bytes) -> bytes:
    """A ReadResponse with its prefix."""
    packed: bytes = ReadResponse(data=data).SerializeToString()
    return prefix(len(packed)) + packed


def headers(block: bytes = RESPONSE, *, end: bool = False, stream_id: int = 1) -> bytes:
    """A whole header block."""
    flags = END_HEADERS | (END_STREAM if end else 0)
    return frame(FrameType.HEADERS, flags, stream_id, block)


def data(payload: bytes, *, end: bool = False, stream_id: int = 1) -> bytes:
    """DATA."""
    return frame(FrameType.DATA, END_STREAM if end else 0, stream_id, payload)


def padded(payload: bytes, padding: int) -> bytes:
    """DATA with padding."""
    return frame(FrameType.DATA, PADDED, 1, bytes([padding]) + payload + bytes(padding))


def answer(*messages: bytes) -> bytes:
    """All of an answer that goes well, each message in a frame."""
    return SETTINGS + headers() + b"".join(map(data, messages)) + headers(OK, end=True)


def asked() -> tuple[Incoming, FrameQueue]:
    """A connection with a call on stream 1, and what is to be sent on it."""
    queue = FrameQueue()
    incoming = Incoming(queue, WINDOW)
    incoming.begin(1)
    return incoming, queue


def landed(incoming: Incoming, stream: bytes, sizes: Iterable[int] = (), room: int = 100) -> bytes:
    """The data of ``stream``, received in pieces of at most those sizes, with so much room at a time.

    After a piece of an odd size the reader takes what has come, and gives no room before it has to.
    """
    found, steps = b"", iter(sizes)
    incoming.give(memoryview(bytearray(room)))
    while stream:
        buffers = incoming.buffers()
        if not buffers:
            found += bytes(incoming.take())
            incoming.give(memoryview(bytearray(room)))
            continue
        assert buffers[0], "nothing is asked of the socket, which looks like its end"
        count = 0
        most = next(steps, len(stream))
        for buffer in buffers:
            part = stream[count : count + min(len(buffer), most - count)]
            buffer[: len(part)] = part
            count += len(part)
        stream = stream[count:]
        incoming.received(count)
        if most % 2:
            found += bytes(incoming.take())
    found += bytes(incoming.take())
    incoming.give(memoryview(bytearray(room)))
    return found


def cut(stream: bytes, size: int) -> Iterator[bytes]:
    """The stream in pieces of that size."""
    for at in range(0, len(stream), size):
        yield stream[at : at + size]
