"""Whether a Tree is whole: every directory that is named in it is in it.

A directory is named by the digest of its bytes, and those are taken as they are in the Tree: a
Directory that was parsed and serialized again keeps unknown fields but not the order they came in,
and drops what is written although it is the default. What another hand has serialized a little
differently is then no reason to refuse a result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from gorego_tw.digest import Digest, DigestFunction, digest_of, infer_function
from gorego_tw.errors import InvalidArgument
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.digests import parse_message
from gorego_tw.turns import Share


def _serialized_tree() -> Any:
    """A Tree whose directories are left as bytes: on the wire it is the same."""
    file = FileDescriptorProto(name="serialized_tree.proto", package="gorego", syntax="proto3")
    message = file.message_type.add(name="SerializedTree")
    field = message.field.add
    field(name="root", number=1, type=Field.TYPE_BYTES, label=Field.LABEL_REPEATED)
    field(name="children", number=2, type=Field.TYPE_BYTES, label=Field.LABEL_REPEATED)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("gorego.SerializedTree"))


_SerializedTree = _serialized_tree()

#: So many bytes of a directory take as long as one digest, and a node with its name as long as so many digests.
_BYTES = 512
_NODE_WORTH = 4


class WholeTree:
    """The directories of one Tree.

    They are read one by one, in turns: a large Tree in one piece would take half a second.

    :param data: the Tree, serialized.
    :param function: what its directories are named with, unless the length of a hash says otherwise.
    :raises DecodeError: it is none.
    """

    def __init__(self, data: bytes, function: DigestFunction) -> None:
        tree = _SerializedTree.FromString(data)
        # A message that comes several times is what all of them are together.
        self._root = b"".join(tree.root)
        self._serialized: list[bytes] = list(tree.children)
        self._function = function
        self._children: list[pb.Directory] = []
        self._by_function: dict[DigestFunction, dict[Digest, pb.Directory]] = {}

    async def directories(self, turns: Share) -> list[pb.Directory]:
        """All of them, the root first, if those that can be reached from it are there. The empty directory always is.

        A digest of a function that is not served says nothing, and is passed over.

        :raises DecodeError: one is no Directory.
        :raises InvalidArgument: one is absent; the message says which.
        """
        root = pb.Directory.FromString(self._root)
        for data in self._serialized:
            self._children.append(pb.Directory.FromString(data))
            await turns.after(_worth(data))
        seen: set[Digest] = set()
        waiting = deque((root,))
        while waiting:
            nodes = waiting.popleft().directories
            for node in nodes:
                digest = self._digest(node)
                if digest is None or not digest.size_bytes or digest in seen:
                    continue
                seen.add(digest)
                child = (await self._named(digest.function, turns)).get(digest)
                if child is None:
                    raise InvalidArgument(
                        f"the Directory {digest}, which it names {node.name[:100]!r}, is not in it"
                    )
                waiting.append(child)
                await turns.after(_NODE_WORTH)
        return [root, *self._children]

    def _digest(self, node: pb.DirectoryNode) -> Digest | None:
        function = self._function
        if len(node.digest.hash) != 2 * function.hash_bytes:
            try:
                function = infer_function(node.digest.hash)
            except InvalidArgument:
                return None
        return parse_message(f"directories[{node.name[:100]!r}]", node.digest, function)

    async def _named(self, function: DigestFunction, turns: Share) -> Mapping[Digest, pb.Directory]:
        """Those below the root, by their names."""
        children = self._by_function.get(function)
        if children is None:
            children = self._by_function[function] = {}
            for data, child in zip(self._serialized, self._children, strict=True):
                children[digest_of(data, function)] = child
                await turns.after(_worth(data))
        return children


def _worth(data: bytes) -> int:
    """Reading or hashing a directory takes as long as reading so many digests."""
    return 1 + len(data) // _BYTES
