"""What an action result refers to: every blob without which it is worthless."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from google.protobuf.message import DecodeError

from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest, DigestFunction
from gorego_tw.errors import FailedPrecondition, InvalidArgument, NotFound
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.digests import parse_message, parse_named
from gorego_tw.reapi.limits import Limits
from gorego_tw.reapi.tree import Visited, walk
from gorego_tw.reapi.whole_tree import WholeTree
from gorego_tw.turns import PIECE, Turns

_File = TypeVar("_File", pb.OutputFile, pb.FileNode)

#: A Tree takes five to ten times its size in memory while it is looked at. Larger ones are one at a time, in bytes.
_SMALL_TREE_BYTES = 256 * 1024


class References:
    """The references of one action result.

    :param function: the digest function of all of its digests: that of the action.
    :param turns: in which they are looked at.
    """

    def __init__(
        self, function: DigestFunction, blobs: IBlobAccess, limits: Limits, turns: Turns
    ) -> None:
        self._function = function
        self._blobs = blobs
        self._limits = limits
        self._turns = turns.of_one_call()
        self._alone = turns.alone
        # A dictionary keeps the order and each digest once.
        self._found: dict[Digest, None] = {}

    async def of(self, result: pb.ActionResult) -> tuple[Digest, ...]:
        """Outputs, stdout, stderr, the Trees and all the files in them, and root directories
        with all below them; each once, the empty blob never. Symlinks refer to nothing.

        :raises InvalidArgument: a digest is malformed, a blob is not a Tree or Directory, or a
            Tree lacks a directory that it names, so that nobody could make the output of it.
        :raises FailedPrecondition: a Tree or Directory is absent, so that nobody could say what
            the result needs: it has to be uploaded before.
        """
        if result.HasField("stdout_digest"):
            self._add("stdout_digest", result.stdout_digest)
        if result.HasField("stderr_digest"):
            self._add("stderr_digest", result.stderr_digest)
        await self._add_all(result.output_files, lambda file: f"output_files[{file.path[:100]!r}]")
        for output in result.output_directories:
            await self._add_output_directory(output)
        return tuple(self._found)

    def _add(self, field: str, message: pb.Digest) -> Digest:
        digest = parse_message(field, message, self._function)
        if digest.size_bytes:
            self._found[digest] = None
        return digest

    async def _add_output_directory(self, output: pb.OutputDirectory) -> None:
        field = f"output_directories[{output.path[:100]!r}]"
        is_tree = output.HasField("tree_digest")
        if not is_tree and not output.HasField("root_directory_digest"):
            raise InvalidArgument(
                f"{field}: neither tree_digest nor root_directory_digest; it has one at least"
            )
        if is_tree:
            await self._add_tree(field, output.tree_digest)
        if output.HasField("root_directory_digest"):
            await self._add_root_directory(field, output.root_directory_digest)

    async def _add_tree(self, field: str, message: pb.Digest) -> None:
        named = f"{field}.tree_digest"
        digest = self._add(named, message)
        data = await self._read_tree(named, digest)
        if len(data) <= _SMALL_TREE_BYTES:
            await self._add_whole_tree(field, digest, data)
            return
        async with self._alone:
            await self._add_whole_tree(field, digest, data)

    async def _add_whole_tree(self, field: str, digest: Digest, data: bytes) -> None:
        named = f"{field}.tree_digest"
        try:
            tree = WholeTree(data, self._function)
            directories = await tree.directories(self._turns)
        except DecodeError:
            raise InvalidArgument(f"{named}: the blob {digest} is not a Tree") from None
        except InvalidArgument as error:
            raise error.at(f"{named}: the Tree {digest}") from None
        for directory in directories:
            await self._add_files(field, directory.files)

    async def _add_files(self, field: str, files: Sequence[pb.FileNode]) -> None:
        await self._add_all(files, lambda file: f"{field}: files[{file.name[:100]!r}]")

    async def _add_all(self, files: Sequence[_File], field: Callable[[_File], str]) -> None:
        """As ``_add``, for there may be 100,000 of them.

        :param field: what each is called.
        """
        for start in range(0, len(files), PIECE):
            digests = parse_named(files[start : start + PIECE], field, self._function)
            self._found.update(dict.fromkeys(digest for digest in digests if digest.size_bytes))
            await self._turns.after(len(digests))

    async def _read_tree(self, field: str, digest: Digest) -> bytes:
        if digest.size_bytes > self._limits.max_tree_bytes:
            raise InvalidArgument(
                f"{field}: a Tree of {digest.size_bytes} bytes; "
                f"one has {self._limits.max_tree_bytes} at most"
            )
        try:
            body = await self._blobs.get(digest)
        except NotFound:
            raise _absent(field, "Tree", digest) from None
        return await body.read_all()

    async def _add_root_directory(self, field: str, message: pb.Digest) -> None:
        field = f"{field}.root_directory_digest"
        root = self._add(field, message)
        async with closing(walk(root, self._blobs, self._limits, self._turns)) as steps:
            async for step in steps:
                if not isinstance(step, Visited):
                    raise _absent(field, "Directory", step)
                if step.digest.size_bytes:
                    self._found[step.digest] = None
                await self._add_files(field, step.directory.files)


def _absent(field: str, kind: str, digest: Digest) -> FailedPrecondition:
    return FailedPrecondition(
        f"{field}: the {kind} {digest} is absent; upload the outputs before the action result"
    )
