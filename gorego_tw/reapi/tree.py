"""A tree of Directory blobs: the walk from its root down."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple

from google.protobuf.message import DecodeError

from gorego_tw.concurrency import gather
from gorego_tw.digest import Digest
from gorego_tw.errors import InvalidArgument, NotFound, ResourceExhausted
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.pb.build.bazel.remote.execution.v2.remote_execution_pb2 import (
    Directory,
    DirectoryNode,
)
from gorego_tw.reapi.digests import parse_named
from gorego_tw.reapi.limits import Limits
from gorego_tw.turns import PIECE, Share

#: How many directories are asked for at the same time. Each may have 4 MiB, so 64 MiB at worst;
#: a store that is a round trip away is asked once for 16 of them.
_WINDOW = 16

#: Reading one that is in memory takes as long as reading so many digests.
_WORTH = 32


class Visited(NamedTuple):
    """One directory of the walk."""

    digest: Digest
    data: bytes
    directory: Directory


async def walk(
    root: Digest, blobs: IBlobAccess, limits: Limits, turns: Share
) -> AsyncIterator[Visited | Digest]:
    """Every directory of the tree, each once, a parent before its children.

    The order depends on the tree alone. For one that is absent its digest is given. There is no
    recursion, so depth costs nothing.

    :raises InvalidArgument: a blob is not a Directory, or has a malformed digest in it.
    :raises ResourceExhausted: the tree has too many directories, or one that is too large.
    """
    seen = {root.key}
    waiting = deque((root,))
    while waiting:
        window = [waiting.popleft() for _ in range(min(_WINDOW, len(waiting)))]
        for found in await gather(_fetch(digest, blobs, limits) for digest in window):
            if isinstance(found, Visited):
                await _queue_children(found, seen, waiting, turns)
                _check_count(root, seen, limits)
            yield found
        await turns.after(len(window) * _WORTH)


async def _queue_children(
    parent: Visited, seen: set[bytes], waiting: deque[Digest], turns: Share
) -> None:
    def field(node: DirectoryNode) -> str:
        return f"directory {parent.digest}: directories[{node.name[:100]!r}]"

    nodes = parent.directory.directories
    for start in range(0, len(nodes), PIECE):
        children = parse_named(nodes[start : start + PIECE], field, parent.digest.function)
        for child in children:
            if child.key not in seen:
                seen.add(child.key)
                waiting.append(child)
        await turns.after(len(children))


def _check_count(root: Digest, seen: set[bytes], limits: Limits) -> None:
    if len(seen) > limits.max_tree_directories:
        raise ResourceExhausted(
            f"tree {root}: more than {limits.max_tree_directories} directories, "
            "which is the most that is walked"
        )


async def _fetch(digest: Digest, blobs: IBlobAccess, limits: Limits) -> Visited | Digest:
    if digest.size_bytes > limits.max_directory_bytes:
        raise ResourceExhausted(
            f"directory {digest}: larger than the {limits.max_directory_bytes} bytes "
            "that fit into a message"
        )
    try:
        body = await blobs.get(digest)
    except NotFound:
        return digest
    data = await body.read_all()
    try:
        return Visited(digest, data, Directory.FromString(data))
    except DecodeError:
        raise InvalidArgument(f"directory {digest}: the blob is not a Directory") from None
