"""What a wrapper does not change it forwards: the base classes of all wrappers."""

from __future__ import annotations

from collections.abc import Collection

from zope.interface import implementer

from gorego_tw.digest import Digest
from gorego_tw.interfaces import (
    ActionKey,
    IActionResults,
    IBlobAccess,
    IBlobBody,
    StoredActionResult,
)


@implementer(IBlobAccess)
class BlobAccessDecorator:
    """A store that is another store.

    :param base: the other store.
    """

    def __init__(self, base: IBlobAccess) -> None:
        self._base = base

    async def get(self, digest: Digest) -> IBlobBody:
        """As the other store."""
        return await self._base.get(digest)

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """As the other store."""
        await self._base.put(digest, body)

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """As the other store."""
        return await self._base.find_missing(digests)


@implementer(IActionResults)
class ActionResultsDecorator:
    """A store of action results that is another one.

    :param base: the other store.
    """

    def __init__(self, base: IActionResults) -> None:
        self._base = base

    async def get(self, key: ActionKey) -> StoredActionResult:
        """As the other store."""
        return await self._base.get(key)

    async def put(self, key: ActionKey, result: StoredActionResult) -> None:
        """As the other store."""
        await self._base.put(key, result)
