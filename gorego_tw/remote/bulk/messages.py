"""ReadResponse messages as they come: where the data is, without holding it."""

from __future__ import annotations

from enum import IntEnum

from gorego_tw.errors import Unavailable
from gorego_tw.grpc.framing import PREFIX_BYTES

#: The number of ReadResponse.data (bytestream.proto).
_DATA_FIELD = 10

#: Tag and length of the data, if that has 16 KiB to 2 MiB: read together with the prefix.
_HEAD_BYTES = 4

#: How much of a field that is not known is taken at once, in bytes.
_SKIP_BYTES = 1024

#: A varint has seven bits in each byte, and 64 at most (protobuf's encoding).
_MOST_SHIFT = 63


class Part(IntEnum):
    """What comes next."""

    PREFIX = 0  #: flag and length of a message
    TAG = 1  #: number and type of a field
    LENGTH = 2  #: of a field, in bytes
    DATA = 3  #: of the blob
    VARINT = 4  #: the value of a field that is not known
    SKIPPED = 5  #: the rest of one


#: Those that are numbers, which end where they say so.
_NUMBERS = frozenset({Part.TAG, Part.LENGTH, Part.VARINT})

#: What follows the tag of a field that is not the data, by its wire type, and how long that is.
_UNKNOWN: dict[int, tuple[Part, int]] = {
    0: (Part.VARINT, 0),
    1: (Part.SKIPPED, 8),
    2: (Part.LENGTH, 0),
    5: (Part.SKIPPED, 4),
}


def _is_none() -> Unavailable:
    return Unavailable("backing cache: a reply that is no ReadResponse")


class Messages:
    """Told of every byte, in order: data is counted, the rest is read.

    :ivar part: what comes next.
    :ivar left: how many bytes of data, or of what is skipped, come before anything else.
    """

    def __init__(self) -> None:
        self.part = Part.PREFIX
        self.left = 0
        self._prefix = b""
        self._message_left = 0
        self._number = 0
        self._shift = 0
        self._is_data = False

    @property
    def between(self) -> bool:
        """Whether no message has begun and not ended."""
        return self.part is Part.PREFIX and not self._prefix

    def wanted_bytes(self, room: int) -> int:
        """How many bytes :meth:`feed` is to be given at most, if it is not data that comes next.

        :param room: so many bytes of data may be among them.
        """
        if self.part is Part.PREFIX:
            return PREFIX_BYTES - len(self._prefix) + min(_HEAD_BYTES, room)
        return min(self.left, _SKIP_BYTES) if self.part is Part.SKIPPED else 1

    def data_taken(self, count: int) -> None:
        """So many bytes of data are where they belong."""
        self._message_left -= count
        self.left -= count
        if not self.left:
            self._next_field()

    def feed(self, data: bytes) -> bytes:
        """Take bytes that begin with what is no data.

        :returns: the data among them.
        :raises Unavailable: they are not what a ReadResponse has.
        """
        found = b""
        while data:
            if self.part is Part.PREFIX:
                count = PREFIX_BYTES - len(self._prefix)
                self._prefix += data[:count]
                if len(self._prefix) == PREFIX_BYTES:
                    self._begin()
            elif self.part is Part.DATA:
                count = min(self.left, len(data))
                found += data[:count]
                self.data_taken(count)
            else:
                count = self._not_data(data)
            data = data[count:]
        return found

    def _not_data(self, data: bytes) -> int:
        """Take a byte of a number, or what is skipped; returns how many bytes that were."""
        count = min(self.left, len(data)) if self.part is Part.SKIPPED else 1
        self._message_left -= count
        if self.part is Part.SKIPPED:
            self.left -= count
            if not self.left:
                self._next_field()
        elif self._varint(data[0]):
            self._number_read()
        elif not self._message_left:
            raise _is_none()
        return count

    def _begin(self) -> None:
        flag, self._message_left = self._prefix[0], int.from_bytes(self._prefix[1:], "big")
        self._prefix = b""
        if flag:
            raise Unavailable("backing cache: a compressed message, which nobody has asked for")
        if self._message_left:
            self._expect(Part.TAG, 0)

    def _varint(self, byte: int) -> bool:
        """Take one byte of a number; whether it was the last."""
        self._number |= (byte & 0x7F) << self._shift
        self._shift += 7
        if byte < 0x80:
            return True
        if self._shift > _MOST_SHIFT:
            raise _is_none()
        return False

    def _number_read(self) -> None:
        number = self._number
        if self.part is Part.VARINT:
            self._next_field()
        elif self.part is Part.TAG:
            try:
                part, length = _UNKNOWN[number & 7]
            except KeyError:
                raise _is_none() from None
            self._is_data = number >> 3 == _DATA_FIELD and part is Part.LENGTH
            self._expect(part, length)
        else:
            self._expect(Part.DATA if self._is_data else Part.SKIPPED, number)

    def _next_field(self) -> None:
        if self._message_left:
            self._expect(Part.TAG, 0)
        else:
            self.part = Part.PREFIX

    def _expect(self, part: Part, length: int) -> None:
        is_number = part in _NUMBERS
        if max(length, is_number) > self._message_left:
            raise _is_none()
        self.part, self.left = part, length
        self._number = self._shift = 0
        if not length and not is_number:
            self._next_field()
