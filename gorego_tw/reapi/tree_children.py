"""Whether a Tree is whole: every directory that is named in it is in it.

A directory is named by the digest of its bytes, and those are taken as they are in the Tree: a
Directory that was parsed and serialized again keeps unknown fields but not the order they came in,
and drops what is written although it is the default. What another hand has serialized a little
differently is then no reason to refuse a result.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from gorego_tw.digest import Digest, DigestFunction, digest_of, infer_function
from gorego_tw.errors import InvalidArgument
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.digests import parse_message


def _serialized_tree() -> Any:
    """A Tree whose directories are left as bytes: on the wire it is the same."""
    file = FileDescriptorProto(name="serialized_tree.proto", package="gorego", syntax="proto3")
    message = file.message_type.add(name="SerializedTree")
    field = message.field.add
    field(name="root", number=1, type=Field.TYPE_BYTES, label=Field.LABEL_OPTIONAL)
    field(name="children", number=2, type=Field.TYPE_BYTES, label=Field.LABEL_REPEATED)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("gorego.SerializedTree"))


_SerializedTree = _serialized_tree()


class TreeChildren:
    """The directories of one Tree, below its root.

    :param data: the Tree, serialized.
    :param function: what its directories are named with, unless the length of a hash says otherwise.
    """

    def __init__(self, tree: pb.Tree, data: bytes, function: DigestFunction) -> None:
        self._tree = tree
        self._data = data
        self._function = function
        self._by_function: dict[DigestFunction, dict[Digest, pb.Directory]] = {}

    def check(self) -> None:
        """Whether all that can be reached from the root are there. The empty directory always is.

        A digest of a function that is not served says nothing, and is passed over.

        :raises InvalidArgument: one is absent; the message says which.
        """
        seen: set[Digest] = set()
        waiting = deque((self._tree.root,))
        while waiting:
            for node in waiting.popleft().directories:
                digest = self._digest(node)
                if digest is None or not digest.size_bytes or digest in seen:
                    continue
                seen.add(digest)
                child = self._children(digest.function).get(digest)
                if child is None:
                    raise InvalidArgument(
                        f"the Directory {digest}, which it names {node.name[:100]!r}, is not in it"
                    )
                waiting.append(child)

    def _digest(self, node: pb.DirectoryNode) -> Digest | None:
        function = self._function
        if len(node.digest.hash) != 2 * function.hash_bytes:
            try:
                function = infer_function(node.digest.hash)
            except InvalidArgument:
                return None
        return parse_message(f"directories[{node.name[:100]!r}]", node.digest, function)

    def _children(self, function: DigestFunction) -> dict[Digest, pb.Directory]:
        children = self._by_function.get(function)
        if children is None:
            serialized = _SerializedTree.FromString(self._data).children
            named = (digest_of(data, function) for data in serialized)
            children = dict(zip(named, self._tree.children, strict=True))
            self._by_function[function] = children
        return children
