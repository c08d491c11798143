"""What the two batch methods have in common: one answer for each blob."""

from __future__ import annotations

from collections.abc import Sequence

from google.rpc.status_pb2 import Status

from gorego_tw.errors import InvalidArgument, StatusError
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.limits import Limits

#: How much of a malformed hash, and of a failure's message, an answer has at most, in bytes.
_HASH_SHOWN = 140
_MESSAGE_SHOWN = 160
#: Tags and lengths of answer, digest, status and their fields, a size and a code, in bytes.
_FRAMING = 44


class Answers:
    """How the blobs of one batch are answered, so that the reply fits whatever becomes of them.

    :ivar item_bytes: what each blob has of the reply in any case: as much as it needs to tell
        why it failed, or an equal share where so many are asked for that this is not to be had.
    """

    def __init__(self, field: str, items: Sequence[object], limits: Limits) -> None:
        """:raises InvalidArgument: there are more than a reply can answer."""
        count = len(items)
        if count > limits.max_batch_items:
            raise InvalidArgument(
                f"{field}: {count} blobs; a batch has {limits.max_batch_items} at most"
            )
        wanted = limits.max_batch_item_overhead_bytes
        self.item_bytes = min(wanted, limits.max_reply_bytes // count) if count else wanted
        self._has_details = self.item_bytes == wanted

    def digest(self, message: pb.Digest) -> pb.Digest:
        """The digest as the reply repeats it."""
        if len(message.hash) <= _HASH_SHOWN and message.hash.isascii():
            return message
        room = min(_HASH_SHOWN, self.item_bytes - _FRAMING)
        return pb.Digest(hash=_cut(message.hash, room), size_bytes=message.size_bytes)

    def status(self, message: pb.Digest, error: StatusError) -> Status:
        """Why the blob with that digest failed."""
        hash_bytes = len(self.digest(message).hash.encode())
        room = min(_MESSAGE_SHOWN, self.item_bytes - hash_bytes - _FRAMING)
        status = Status(code=error.code, message=_cut(error.message, max(0, room)))
        if self._has_details:
            for detail in error.details:
                status.details.add().Pack(detail)
        return status


def _cut(text: str, size: int) -> str:
    """As much of the text as that many bytes hold."""
    return text.encode()[:size].decode(errors="ignore")
