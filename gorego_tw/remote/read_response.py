"""The data in a serialized google.bytestream.ReadResponse."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from gorego_tw.errors import Unavailable
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadResponse

#: ReadResponse.data: field 10, with a length before it.
_DATA_TAG = 0x52

#: A longer length, of 256 MiB and more, is left to protobuf.
_MOST_LENGTH_BYTES = 4


def read_data(message: bytes) -> memoryview:
    """The data, without a copy if nothing else is in the message, as is usual.

    :raises Unavailable: it is no ReadResponse.
    """
    start = _start_of_data(message)
    if start:
        return memoryview(message)[start:]
    try:
        return memoryview(ReadResponse.FromString(message).data)
    except DecodeError:
        raise Unavailable("backing cache: a reply that is no ReadResponse") from None


def _start_of_data(message: bytes) -> int:
    """Where the data begins if it goes on to the end of the message; else 0."""
    if not message or message[0] != _DATA_TAG:
        return 0
    length = 0
    for at, byte in enumerate(message[1 : 1 + _MOST_LENGTH_BYTES], 1):
        length |= (byte & 0x7F) << 7 * (at - 1)
        if byte < 0x80:
            return at + 1 if at + 1 + length == len(message) else 0
    return 0
