"""ByteStream.Write of a compressed blob: it is expanded on its way into the store."""

from __future__ import annotations

from collections.abc import AsyncIterator

from zope.interface import implementer

from gorego_tw.errors import InvalidArgument
from gorego_tw.interfaces import IBlobAccess, IBlobBody
from gorego_tw.reapi.compression import Decompressor
from gorego_tw.reapi.writing import Messages
from gorego_tw.resource_name import WriteName


@implementer(IBlobBody)
class ExpandedBody:
    """The blob that the messages are the compressed form of."""

    def __init__(self, name: WriteName, messages: Messages) -> None:
        self._decompressor = Decompressor(name.digest)
        self._messages = messages
        self.size_bytes = name.digest.size_bytes
        #: Whether all messages were read and found right.
        self.finished = False

    async def chunks(self, offset: int = 0) -> AsyncIterator[bytes | memoryview]:
        """The expanded bytes, in pieces of at most 128 KiB.

        :raises InvalidArgument: not zstd, or see ``Messages``.
        :raises DigestMismatch: not as many bytes as the digest announces.
        """
        skip = offset
        async for data in self._messages.data():
            for piece in self._decompressor.feed(data):
                if skip < len(piece):
                    yield memoryview(piece)[skip:] if skip else piece
                skip = max(0, skip - len(piece))
        self._decompressor.finish()
        self.finished = True

    async def read_all(self) -> bytes:
        """The whole blob."""
        return b"".join([piece async for piece in self.chunks()])

    def discard(self) -> None:
        """Nothing is held, so nothing is let go."""


async def write_compressed(name: WriteName, messages: Messages, blobs: IBlobAccess) -> int | None:
    """Expand the data and put it; the number of compressed bytes.

    :return: None if the store did not need the data and has not read all of it.
    :raises InvalidArgument: see ``ExpandedBody``, or not begun at 0; nothing is kept.
    :raises DigestMismatch: not the blob announced; nothing is kept.
    """
    if messages.position:
        raise InvalidArgument(
            f"write_offset {messages.position}: a compressed upload cannot be gone on with; "
            "begin at 0"
        )
    body = ExpandedBody(name, messages)
    await blobs.put(name.digest, body)
    return messages.position if body.finished else None
