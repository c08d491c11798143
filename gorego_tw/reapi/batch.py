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

#: How much of a malformed hash, and of a failure, a reply has, in characters;
#: see Limits.max_batch_item_overhead_bytes.
_HASH_SHOWN = 140
_MESSAGE_SHOWN = 160


def status_of(error: StatusError) -> Status:
    """The failure of one blob, short enough for thousands of them to fit in a reply."""
    status = Status(code=error.code, message=error.message[:_MESSAGE_SHOWN])
    for detail in error.details:
        status.details.add().Pack(detail)
    return status


def shown(digest: pb.Digest) -> pb.Digest:
    """The digest as the reply repeats it."""
    if len(digest.hash) <= _HASH_SHOWN:
        return digest
    return pb.Digest(hash=digest.hash[:_HASH_SHOWN], size_bytes=digest.size_bytes)


def check_count(field: str, items: Sequence[object], limits: Limits) -> None:
    """Whether the reply can have an answer for each.

    :raises InvalidArgument: there are too many.
    """
    if len(items) > limits.max_batch_items:
        raise InvalidArgument(
            f"{field}: {len(items)} blobs; a batch has {limits.max_batch_items} at most"
        )


async def gather(coroutines: Iterable[Coroutine[Deferred[Any], Any, _T]]) -> list[_T]:
    """What each of them returns, in their order; they run at the same time."""
    running = [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]
    try:
        return await gatherResults(running, consumeErrors=True)
    except FirstError as first:
        for deferred in running:
            deferred.cancel()
        # What went wrong matters, not where in the list.
        first.subFailure.raiseException()
        raise
