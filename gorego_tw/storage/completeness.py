"""No action result whose outputs are gone (remote_execution.proto, ActionCache)."""

from __future__ import annotations

from gorego_tw.errors import NotFound
from gorego_tw.interfaces import ActionKey, IActionResults, IBlobAccess, StoredActionResult
from gorego_tw.storage.decorator import ActionResultsDecorator


class CompletenessChecking(ActionResultsDecorator):
    """Action results that are there only while everything they refer to is.

    :param base: the action results.
    :param blobs: where the blobs are that they refer to; their last use is renewed.
    """

    def __init__(self, base: IActionResults, blobs: IBlobAccess) -> None:
        super().__init__(base)
        self._blobs = blobs

    async def get(self, key: ActionKey) -> StoredActionResult:
        """The action result, if it is complete.

        :raises NotFound: there is none, or one of its outputs is gone.
        """
        result = await self._base.get(key)
        if result.references:
            missing = await self._blobs.find_missing(result.references)
            if missing:
                raise NotFound(
                    f"the result of the action {key.action} is incomplete: "
                    f"{len(missing)} of its outputs are gone, {missing[0]} among them",
                    reason="incomplete",
                )
        return result
