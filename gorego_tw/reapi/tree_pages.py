"""ContentAddressableStorage.GetTree: the walk in pages."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator

from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.errors import InvalidArgument, NotFound
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.digests import parse_function, parse_message
from gorego_tw.reapi.limits import Limits
from gorego_tw.reapi.tree import Visited, walk
from gorego_tw.turns import Turns

#: What a page has beside its directories: the token of at most 180 characters, tags and lengths.
_PAGE_OVERHEAD = 1024
#: A tag and a length of up to four bytes.
_DIRECTORY_OVERHEAD = 5


class TreePages:
    """One call. All pages are sent; each but the last has a token to go on after it.

    A token names the root and the last directory before it. The order of the
    walk depends on the tree alone, so any process can go on from a token.
    """

    def __init__(
        self, request: pb.GetTreeRequest, blobs: IBlobAccess, limits: Limits, turns: Turns
    ) -> None:
        function = parse_function(request.digest_function)
        self._root = parse_message("root_digest", request.root_digest, function)
        self._page_size = _page_size(request.page_size, limits)
        self._after = _parse_token(request.page_token, self._root)
        self._blobs = blobs
        self._limits = limits
        self._turns = turns.of_one_call()

    async def replies(self) -> AsyncIterator[pb.GetTreeResponse]:
        """The pages.

        :raises NotFound: the root is absent.
        :raises InvalidArgument: a blob of the tree is not a Directory, or the directory that
            page_token names is absent by now.
        :raises ResourceExhausted: the tree is too large.
        """
        page = pb.GetTreeResponse()
        left = self._limits.max_reply_bytes - _PAGE_OVERHEAD
        last = self._root
        async with closing(self._directories()) as directories:
            async for visited in directories:
                size = len(visited.data) + _DIRECTORY_OVERHEAD
                if size > left or len(page.directories) == self._page_size:
                    page.next_page_token = _token(self._root, last)
                    yield page
                    page = pb.GetTreeResponse()
                    left = self._limits.max_reply_bytes - _PAGE_OVERHEAD
                page.directories.append(visited.directory)
                left -= size
                last = visited.digest
        yield page

    async def _directories(self) -> AsyncIterator[Visited]:
        """Those that exist and come after the token's."""
        passed = self._after is None
        async with closing(walk(self._root, self._blobs, self._limits, self._turns)) as steps:
            async for step in steps:
                if not isinstance(step, Visited):
                    if step == self._root:
                        raise NotFound(f"root_digest: directory {step} is absent")
                elif passed:
                    yield step
                else:
                    passed = step.digest.key == self._after
        if not passed:
            raise InvalidArgument(
                "page_token: the directory it goes on after is absent; begin with an empty one"
            )


def _page_size(wanted: int, limits: Limits) -> int:
    if wanted < 0:
        raise InvalidArgument(f"page_size {wanted}: a page size is 0 (any) or more directories")
    return min(wanted or limits.max_tree_page, limits.max_tree_page)


def _token(root: Digest, last: Digest) -> str:
    return urlsafe_b64encode(root.key + last.key).decode()


def _parse_token(token: str, root: Digest) -> bytes | None:
    """The key of the directory to go on after, None to begin with the root."""
    if not token:
        return None
    try:
        keys = urlsafe_b64decode(token.encode())
    except ValueError:
        keys = b""
    length = len(root.key)
    if keys[:length] != root.key or len(keys) != 2 * length:
        raise InvalidArgument(
            f"page_token {token[:200]!r} does not come from a reply about {root}; "
            "it has to be the next_page_token of one, or empty"
        )
    return keys[length:]
