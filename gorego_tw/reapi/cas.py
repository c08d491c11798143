"""build.bazel.remote.execution.v2.ContentAddressableStorage: blobs, several in a message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from zope.interface import implementer

from gorego_tw.concurrency import closing
from gorego_tw.grpc.router import Call, IRPCService, Method, server_streaming, unary
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.batch_read import BatchRead
from gorego_tw.reapi.batch_update import BatchUpdate
from gorego_tw.reapi.digests import parse_function, parse_messages
from gorego_tw.reapi.limits import Limits
from gorego_tw.reapi.tree_pages import TreePages
from gorego_tw.resource_name import check_instance_name
from gorego_tw.storage.disk_threads import DiskThreads, NoDiskThreads

_SERVICE = "/build.bazel.remote.execution.v2.ContentAddressableStorage/"
_HERE = NoDiskThreads()


@implementer(IRPCService)
class ContentAddressableStorage:
    """Finds, takes and gives blobs.

    :param blobs: where they are.
    :param limits: how many and how large they may be in one message.
    :param threads: where large blobs are compressed; without, it is done where it is asked for.
    """

    def __init__(self, blobs: IBlobAccess, limits: Limits, threads: DiskThreads = _HERE) -> None:
        self._blobs = blobs
        self._limits = limits
        self._threads = threads

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
        messages = request.blob_digests
        digests = parse_messages("blob_digests", messages, function)
        missing = await self._blobs.find_missing(digests)
        if not missing:
            return pb.FindMissingBlobsResponse()
        if len(missing) == len(digests):
            return pb.FindMissingBlobsResponse(missing_blob_digests=messages)
        # The client's own messages are the quickest to answer with.
        by_digest = dict(zip(digests, messages, strict=True))
        return pb.FindMissingBlobsResponse(
            missing_blob_digests=[by_digest[digest] for digest in missing]
        )

    async def batch_update_blobs(
        self, request: pb.BatchUpdateBlobsRequest, call: Call
    ) -> pb.BatchUpdateBlobsResponse:
        """A status for each blob: one that is wrong does no harm to the others.

        :raises InvalidArgument: too large together, too many.
        """
        check_instance_name(request.instance_name)
        return await BatchUpdate(request, self._blobs, self._limits).reply()

    async def batch_read_blobs(
        self, request: pb.BatchReadBlobsRequest, call: Call
    ) -> pb.BatchReadBlobsResponse:
        """Each blob, or why not.

        :raises InvalidArgument: too many.
        """
        check_instance_name(request.instance_name)
        return await BatchRead(request, self._blobs, self._limits, self._threads).reply()

    async def get_tree(
        self, request: pb.GetTreeRequest, call: Call
    ) -> AsyncIterator[pb.GetTreeResponse]:
        """A directory and all below it, as far as it exists.

        :raises NotFound: the root is absent.
        :raises InvalidArgument: a malformed digest or token, or not a tree of directories.
        :raises ResourceExhausted: the tree is too large.
        """
        check_instance_name(request.instance_name)
        tree = TreePages(request, self._blobs, self._limits)
        async with closing(tree.replies()) as pages:
            async for page in pages:
                yield page
