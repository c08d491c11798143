"""Length-prefixed messages: one flag byte, four bytes of length (big-endian), the message.

Bytes in, messages out; no state beyond the message that is incomplete.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from struct import Struct

from gorego_tw.errors import Internal, ResourceExhausted, Unimplemented

_PREFIX = Struct(">BI")
PREFIX_BYTES = _PREFIX.size

#: zlib's wbits for a gzip header and trailer around a deflate stream of the largest window.
_GZIP = 16 + zlib.MAX_WBITS


def prefix(length: int) -> bytes:
    """What stands before an uncompressed message of ``length`` bytes."""
    return _PREFIX.pack(0, length)


def only_message(data: bytes, max_message_bytes: int) -> bytes | None:
    """The message, if ``data`` is exactly one that is neither compressed nor too large."""
    if len(data) >= PREFIX_BYTES:
        flag, length = _PREFIX.unpack_from(data)
        if flag == 0 and len(data) == PREFIX_BYTES + length and length <= max_message_bytes:
            return data[PREFIX_BYTES:]
    return None


class MessageBuffer:
    """Joins the pieces of a stream's DATA frames to messages.

    :param max_message_bytes: the largest message taken, in bytes, also after decompression.
    :param encoding: the call's ``grpc-encoding``: ``identity`` or ``gzip``.
    """

    __slots__ = ("_encoding", "_flag", "_held", "_max", "_missing", "_pieces")

    def __init__(self, max_message_bytes: int, encoding: str) -> None:
        self._max = max_message_bytes
        self._encoding = encoding
        self._pieces: list[bytes | memoryview] = []
        self._held = 0  # bytes in the pieces
        self._missing = PREFIX_BYTES  # bytes until the prefix, or the message, is whole
        self._flag = -1  # the flag byte of the message begun; -1 while its prefix is incomplete

    @property
    def held_bytes(self) -> int:
        """How many bytes of an incomplete message are held."""
        return self._held

    @property
    def incomplete(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._held > 0 or self._flag >= 0

    def feed(self, data: bytes) -> Sequence[bytes]:
        """The messages that ``data`` completes, in order, decompressed.

        :raises ResourceExhausted: a message is larger than allowed.
        :raises Internal: the flag byte is neither 0 nor 1, or says compressed where no encoding is agreed.
        """
        if not self.incomplete and (message := only_message(data, self._max)) is not None:
            return (message,)
        return self._feed_pieces(memoryview(data))

    def _feed_pieces(self, view: memoryview) -> list[bytes]:
        messages = []
        while len(view) >= self._missing:
            self._pieces.append(view[: self._missing])
            view = view[self._missing :]
            whole = b"".join(self._pieces)
            self._pieces.clear()
            self._held = 0
            if self._flag < 0:
                self._begin(whole)
            else:
                messages.append(self._end(whole))
        if view:
            # A copy: the view would keep the whole segment it was received in.
            self._pieces.append(bytes(view))
            self._held += len(view)
            self._missing -= len(view)
        return messages

    def _begin(self, whole_prefix: bytes) -> None:
        self._flag, self._missing = _PREFIX.unpack(whole_prefix)
        if self._missing > self._max:
            raise ResourceExhausted(
                f"a message of {self._missing} bytes; at most {self._max} bytes are accepted"
            )
        if self._flag > 1:
            raise Internal(f"message flag {self._flag}; 0 is plain and 1 is compressed")
        if self._flag == 1 and self._encoding == "identity":
            raise Internal("a compressed message without grpc-encoding; identity was agreed")

    def _end(self, message: bytes) -> bytes:
        flag, self._flag, self._missing = self._flag, -1, PREFIX_BYTES
        return _gunzip(message, self._max) if flag else message


def _gunzip(data: bytes, max_bytes: int) -> bytes:
    inflate = zlib.decompressobj(_GZIP)
    try:
        # One byte more than allowed is enough to know.
        message = inflate.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise Internal(f"a message that is not gzip as grpc-encoding says: {error}") from None
    if len(message) > max_bytes:
        raise ResourceExhausted(
            f"a gzip message of more than {max_bytes} bytes; at most that many are accepted"
        )
    if not inflate.eof:
        raise Internal("a gzip message that ends before its end")
    return message


def checked_encoding(name: str | None) -> str:
    """The encoding of a call's messages.

    :param name: the value of ``grpc-encoding``, None if the header is absent.
    :raises Unimplemented: neither identity nor gzip.
    """
    if name is None or name == "identity":
        return "identity"
    if name == "gzip":
        return "gzip"
    raise Unimplemented(f"grpc-encoding {name[:40]!r}; identity and gzip are supported")
