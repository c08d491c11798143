"""ByteStream.Write of a compressed blob: it is expanded on its way into the store."""

from __future__ import annotations

from gorego_tw.errors import InvalidArgument
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.reapi.writing import Messages
from gorego_tw.resource_name import WriteName
from gorego_tw.zstd.expanded_body import ExpandedBody


async def write_compressed(name: WriteName, messages: Messages, blobs: IBlobAccess) -> int | None:
    """Expand the data and put it; the number of compressed bytes.

    :return: None if the store did not need the data and has not read all of it.
    :raises InvalidArgument: see ``Messages``, not zstd, or not begun at 0; nothing is kept.
    :raises DigestMismatch: not the blob announced; nothing is kept.
    """
    if messages.position:
        raise InvalidArgument(
            f"write_offset {messages.position}: a compressed upload cannot be gone on with; "
            "begin at 0"
        )
    body = ExpandedBody(name.digest, messages.data())
    await blobs.put(name.digest, body)
    return messages.position if body.finished else None
