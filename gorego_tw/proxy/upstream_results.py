"""Action results of the backing cache as this one keeps them: normalised, and with what they refer to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from zope.interface import implementer

from gorego_tw.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.proxy.write_policy import UpstreamResults


@implementer(IActionResults)
class ReferencedResults:
    """Trusts them as little as those of clients: what is inlined is checked, and nobody gets it unasked.

    :param upstream: gives and takes serialized results.
    :param normalised: makes of a serialized result what is kept, with the blobs of both tiers at hand.
    """

    def __init__(
        self,
        upstream: UpstreamResults,
        normalised: Callable[[ActionKey, bytes], Awaitable[StoredActionResult]],
    ) -> None:
        self._upstream = upstream
        self._normalised = normalised

    async def get(self, key: ActionKey) -> StoredActionResult:
        """The action result.

        :raises NotFound: there is none, or none that makes sense, or one whose Tree is gone, or no room
            for what is inlined.
        """
        data = await self._upstream.get(key)
        try:
            return await self._normalised(key, data)
        except (FailedPrecondition, InvalidArgument, ResourceExhausted) as error:
            raise NotFound(f"backing cache: action {key.action}: {error.message}") from error

    async def put(self, key: ActionKey, result: StoredActionResult) -> None:
        """Keep it there."""
        await self._upstream.put(key, result.data)
