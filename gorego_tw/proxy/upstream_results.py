"""Action results of the backing cache as this one keeps them: with what they refer to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from zope.interface import implementer

from gorego_tw.digest import Digest
from gorego_tw.errors import FailedPrecondition, InvalidArgument, NotFound
from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.proxy.write_policy import UpstreamResults


@implementer(IActionResults)
class ReferencedResults:
    """Adds the references, which are in the result and in the Trees it names.

    :param upstream: gives and takes serialized results.
    :param references: what a serialized result refers to, with the blobs of both tiers at hand.
    """

    def __init__(
        self,
        upstream: UpstreamResults,
        references: Callable[[ActionKey, bytes], Awaitable[tuple[Digest, ...]]],
    ) -> None:
        self._upstream = upstream
        self._references = references

    async def get(self, key: ActionKey) -> StoredActionResult:
        """The action result.

        :raises NotFound: there is none, or none that makes sense, or one whose Tree is gone.
        """
        data = await self._upstream.get(key)
        try:
            return StoredActionResult(data, await self._references(key, data))
        except (FailedPrecondition, InvalidArgument) as error:
            raise NotFound(f"backing cache: action {key.action}: {error.message}") from error

    async def put(self, key: ActionKey, result: StoredActionResult) -> None:
        """Keep it there."""
        await self._upstream.put(key, result.data)
