"""What the two batch methods have in common: one answer for each blob."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from google.rpc.status_pb2 import Status
from twisted.internet.defer import Deferred, FirstError, gatherResults

from gorego_tw.errors import InvalidArgument, StatusError
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.limits import Limits

_T = TypeVar("_T")

#: How much of a malformed hash, and of a failure's message, an answer has at most, in bytes.
_HASH_SHOWN = 140
_MESSAGE_SHOWN = 160
#: Tags and lengths of answer, digest, status and their fields, a size and a code, in bytes.
_FRAMING = 44

#: How many blobs of one batch are on their way at the same time. Each may hold an open file
#: while it waits for one of the disk's 8 threads: 32 keep those busy, and 30 batches together
#: stay below 1,024 files.
_WIDTH = 32


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


async def gather(coroutines: Iterable[Coroutine[Deferred[Any], Any, _T]]) -> list[_T]:
    """What each of them returns, in their order; some of them run at the same time.

    If one fails, those that run are cancelled and the others are not begun.
    """
    results: dict[int, _T] = {}
    waiting = enumerate(coroutines)

    async def work() -> None:
        for at, coroutine in waiting:
            results[at] = await coroutine

    workers: list[Deferred[None]] = []
    # A worker that ends at once has found nothing left to do, or a failure.
    while len(workers) < _WIDTH and not (workers and workers[-1].called):
        workers.append(Deferred.fromCoroutine(work()))
    try:
        await gatherResults(workers, consumeErrors=True)
    except FirstError as first:
        for worker in workers:
            worker.cancel()
        # What went wrong matters, not where in the list.
        first.subFailure.raiseException()
        raise
    return [results[at] for at in range(len(results))]
