"""build.bazel.remote.execution.v2.ContentAddressableStorage: blobs, several in a message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from zope.interface import implementer

from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.grpc.router import Call, IRPCService, Method, server_streaming, unary
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.batch_read import BatchRead
from gorego_tw.reapi.batch_update import BatchUpdate
from gorego_tw.reapi.digests import parse_function, parse_in_turns
from gorego_tw.reapi.limits import Limits
from gorego_tw.reapi.tree_pages import TreePages
from gorego_tw.resource_name import check_instance_name
from gorego_tw.storage.disk_threads import DiskThreads, NoDiskThreads
from gorego_tw.turns import ONE_TURN, PIECE, Turns

_SERVICE = "/build.bazel.remote.execution.v2.ContentAddressableStorage/"
_HERE = NoDiskThreads()


@implementer(IRPCService)
class ContentAddressableStorage:
    """Finds, takes and gives blobs.

    :param blobs: where they are.
    :param limits: how many and how large they may be in one message.
    :param threads: where large blobs are compressed; without, it is done where it is asked for.
    :param turns: in which many blobs are looked at.
    """

    def __init__(
        self,
        blobs: IBlobAccess,
        limits: Limits,
        threads: DiskThreads = _HERE,
        turns: Turns = ONE_TURN,
    ) -> None:
        self._blobs = blobs
        self._limits = limits
        self._threads = threads
        self._turns = turns

    def methods(self) -> Mapping[str, Method]:
        """FindMissingBlobs, BatchUpdateBlobs, BatchReadBlobs and GetTree."""
        return {
            f"{_SERVICE}FindMissingBlobs": unary(
                pb.FindMissingBlobsRequest, self.find_missing_blobs
            ),
            f"{_SERVICE}BatchUpdateBlobs": unary(
                pb.BatchUpdateBlobsRequest, self.batch_update_blobs
            ),
            f"{_SERVICE}BatchReadBlobs": unary(pb.BatchReadBlobsRequest, self.batch_read_blobs),
            f"{_SERVICE}GetTree": server_streaming(pb.GetTreeRequest, self.get_tree),
        }

    async def find_missing_blobs(
        self, request: pb.FindMissingBlobsRequest, call: Call
    ) -> pb.FindMissingBlobsResponse:
        """The blobs that are absent; the others live longer for having been asked for.

        :raises InvalidArgument: a digest is malformed: the reply has no place to say so.
        """
        check_instance_name(request.instance_name)
        function = parse_function(request.digest_function)
        messages, turns = request.blob_digests, self._turns.of_one_call()
        digests = await parse_in_turns("blob_digests", messages, function, turns)
        absent = await self._blobs.find_missing(digests)
        reply = pb.FindMissingBlobsResponse()
        if not absent:
            return reply
        # The client's own messages are the quickest to answer with.
        left = set(absent) if len(absent) < len(digests) else None
        for start in range(0, len(digests), PIECE):
            part = messages[start : start + PIECE]
            if left is not None:
                part = _taken(left, digests[start : start + PIECE], part)
            reply.missing_blob_digests.extend(part)
            await turns.after(len(part))
        return reply

    async def batch_update_blobs(
        self, request: pb.BatchUpdateBlobsRequest, call: Call
    ) -> pb.BatchUpdateBlobsResponse:
        """A status for each blob: one that is wrong does no harm to the others.

        :raises InvalidArgument: too large together, too many.
        """
        check_instance_name(request.instance_name)
        return await BatchUpdate(request, self._blobs, self._limits, self._turns).reply()

    async def batch_read_blobs(
        self, request: pb.BatchReadBlobsRequest, call: Call
    ) -> pb.BatchReadBlobsResponse:
        """Each blob, or why not.

        :raises InvalidArgument: too many.
        """
        check_instance_name(request.instance_name)
        return await BatchRead(
            request, self._blobs, self._limits, self._threads, self._turns
        ).reply()

    async def get_tree(
        self, request: pb.GetTreeRequest, call: Call
    ) -> AsyncIterator[pb.GetTreeResponse]:
        """A directory and all below it, as far as it exists.

        :raises NotFound: the root is absent.
        :raises InvalidArgument: a malformed digest or token, or not a tree of directories.
        :raises ResourceExhausted: the tree is too large.
        """
        check_instance_name(request.instance_name)
        tree = TreePages(request, self._blobs, self._limits, self._turns)
        async with closing(tree.replies()) as pages:
            async for page in pages:
                yield page


def _taken(
    absent: set[Digest], digests: Sequence[Digest], messages: Sequence[pb.Digest]
) -> list[pb.Digest]:
    """The messages of those that are absent, which are then not taken once more."""
    taken: list[pb.Digest] = []
    for digest, message in zip(digests, messages, strict=True):
        if digest in absent:
            absent.discard(digest)
            taken.append(message)
    return taken
