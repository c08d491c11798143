"""Uploads that are done when the write policy says so."""

from __future__ import annotations

from zope.interface import implementer

from gorego_tw.digest import Digest
from gorego_tw.interfaces import IUpload, IUploads
from gorego_tw.proxy.write_policy import WritePolicy


@implementer(IUpload)
class ProxyUpload:
    """An upload to the local tier, and what follows it."""

    def __init__(self, base: IUpload, digest: Digest, policy: WritePolicy) -> None:
        self._base = base
        self._digest = digest
        self._policy = policy

    @property
    def committed_size(self) -> int:
        """How many bytes are held, in bytes."""
        return self._base.committed_size

    async def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        await self._base.write(data)

    async def commit(self) -> None:
        """Make the blob visible here, then do as the policy says.

        :raises Unavailable: the backing cache has to have it, and is in trouble; the blob is
            here all the same, so that the next try needs none of its bytes.
        """
        await self._base.commit()
        await self._policy.blob_arrived(self._digest)

    async def suspend(self) -> None:
        """Keep what was written for a later call."""
        await self._base.suspend()

    async def abandon(self) -> None:
        """Drop what was written."""
        await self._base.abandon()


@implementer(IUploads)
class ProxyUploads:
    """The uploads of the local tier.

    :param base: keeps what arrives.
    :param policy: what becomes of a blob that is whole.
    """

    def __init__(self, base: IUploads, policy: WritePolicy) -> None:
        self._base = base
        self._policy = policy

    async def open(self, name: str, digest: Digest) -> IUpload:
        """The upload of that name."""
        return ProxyUpload(await self._base.open(name, digest), digest, self._policy)

    async def committed_size(self, name: str) -> int:
        """How many bytes an upload of that name holds, in bytes."""
        return await self._base.committed_size(name)

    async def is_needless(self, digest: Digest) -> bool:
        """Whether the local tier has it; then the backing cache has it too, if it has to.

        :raises Unavailable: the backing cache has to have it, and is in trouble.
        """
        needless = await self._base.is_needless(digest)
        if needless:
            await self._policy.blob_present(digest)
        return needless
