"""ByteStream.Write of a blob as it is: an upload that can be gone on with."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gorego_tw.errors import Aborted, DigestMismatch, InvalidArgument
from gorego_tw.interfaces import IUpload
from gorego_tw.pb.google.bytestream.bytestream_pb2 import WriteRequest
from gorego_tw.resource_name import WriteName


class Messages:
    """The messages of one Write, checked for what they have in common.

    :param first: has been taken from ``rest`` already.
    """

    def __init__(self, first: WriteRequest, rest: AsyncIterator[WriteRequest]) -> None:
        self._first = first
        self._rest = rest
        self._name = first.resource_name
        #: The write_offset that the next message has to have.
        self.position = first.write_offset

    async def data(self) -> AsyncIterator[bytes]:
        """The data of each message, up to the one with finish_write, which has to be the last.

        ``position`` is what comes after the data given out.

        :raises InvalidArgument: another resource name or offset than expected, a message after
            finish_write, or none with finish_write.
        """
        message = self._first
        while True:
            self._check(message)
            self.position += len(message.data)
            yield message.data
            if message.finish_write:
                break
            following = await anext(self._rest, None)
            if following is None:
                raise InvalidArgument(
                    f"the stream ended at offset {self.position} without finish_write; "
                    "the last message has to set it"
                )
            message = following
        # Nothing is committed before the end is seen: a message after it is an error.
        if await anext(self._rest, None) is not None:
            raise InvalidArgument(
                "a message after the one with finish_write, which has to be the last"
            )

    def _check(self, message: WriteRequest) -> None:
        if message.write_offset != self.position:
            raise InvalidArgument(
                f"write_offset {message.write_offset}; the next byte is that at {self.position}"
            )
        name = message.resource_name
        if name and name != self._name:
            raise InvalidArgument(
                f"resource_name {name[:300]!r}; it has to be that of the first message, or empty"
            )


async def write_identity(name: WriteName, messages: Messages, upload: IUpload) -> int:
    """Take the data in and commit it; the number of bytes written.

    A client that begins before what is held, because it did not ask, is not
    told off: what is held already is skipped. If it is not the same, the hash
    tells at the end.

    :raises InvalidArgument: see ``Messages``, or an offset beyond what is held. What came before
        stays held.
    :raises DigestMismatch: not the blob announced; nothing is held any more.
    """
    try:
        await _take(messages, upload)
    except (DigestMismatch, Aborted):
        # The upload has dropped what it held, or is another call's by now.
        raise
    except Exception:  # the client has gone, or sent what is wrong: it may go on later
        await upload.suspend()
        raise
    if messages.position != name.digest.size_bytes:
        await upload.abandon()
        raise DigestMismatch(
            f"digest {name.digest}: finish_write came after {messages.position} bytes; "
            f"the digest announces {name.digest.size_bytes}"
        )
    await upload.commit()
    return messages.position


async def _take(messages: Messages, upload: IUpload) -> None:
    held = upload.committed_size
    offset = messages.position
    if not 0 <= offset <= held:
        raise InvalidArgument(
            f"write_offset {offset}: {held} bytes are held, so go on at {held} "
            "(QueryWriteStatus tells), or begin at 0"
        )
    async for data in messages.data():
        if offset >= held:
            await upload.write(data)
        elif offset + len(data) > held:
            await upload.write(memoryview(data)[held - offset :])
        offset += len(data)
