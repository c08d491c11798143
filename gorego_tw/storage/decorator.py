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
    IUpload,
    IUploads,
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


@implementer(IUpload)
class UploadDecorator:
    """An upload that is another upload.

    :param base: the other one.
    """

    def __init__(self, base: IUpload) -> None:
        self._base = base

    @property
    def committed_size(self) -> int:
        """How many bytes are held, in bytes."""
        return self._base.committed_size

    async def write(self, data: bytes | memoryview) -> None:
        """As the other one."""
        await self._base.write(data)

    async def commit(self) -> None:
        """As the other one."""
        await self._base.commit()

    async def suspend(self) -> None:
        """As the other one."""
        await self._base.suspend()

    async def abandon(self) -> None:
        """As the other one."""
        await self._base.abandon()


@implementer(IUploads)
class UploadsDecorator:
    """Uploads that are others.

    :param base: the others.
    """

    def __init__(self, base: IUploads) -> None:
        self._base = base

    async def open(self, name: str, digest: Digest) -> IUpload:
        """As the others."""
        return await self._base.open(name, digest)

    async def committed_size(self, name: str) -> int:
        """As the others."""
        return await self._base.committed_size(name)

    async def is_needless(self, digest: Digest) -> bool:
        """As the others."""
        return await self._base.is_needless(digest)
