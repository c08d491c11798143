"""What a client is told of action results while the backing cache is in trouble."""

from __future__ import annotations

from gorego_tw.errors import NotFound, StatusError, Unavailable
from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.proxy.trouble import is_trouble
from gorego_tw.storage.decorator import ActionResultsDecorator


class Outage(ActionResultsDecorator):
    """Action results whose trouble is a miss, so that builds go on; or said to be what it is.

    :param base: may be in trouble.
    :param as_absence: whether trouble is told as NOT_FOUND, else as UNAVAILABLE.
    :ivar answered: how many calls were answered so.
    """

    def __init__(self, base: IActionResults, *, as_absence: bool) -> None:
        super().__init__(base)
        self.answered = 0
        self._as_absence = as_absence

    async def get(self, key: ActionKey) -> StoredActionResult:
        """The action result.

        :raises NotFound: there is none, or none can be had for now.
        :raises Unavailable: none can be had for now.
        """
        try:
            return await self._base.get(key)
        except StatusError as error:
            if not is_trouble(error):
                raise
            self.answered += 1
            if self._as_absence:
                raise NotFound(f"not in the local tier; {error.message}") from error
            raise Unavailable(error.message, *error.details) from error
