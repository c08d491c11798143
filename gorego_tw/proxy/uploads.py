"""Uploads that are done when the write policy says so."""

from __future__ import annotations

from gorego_tw.digest import Digest
from gorego_tw.interfaces import IUpload, IUploads
from gorego_tw.proxy.write_policy import WritePolicy
from gorego_tw.storage.decorator import UploadDecorator, UploadsDecorator


class ProxyUpload(UploadDecorator):
    """An upload to the local tier, and what follows it."""

    def __init__(self, base: IUpload, digest: Digest, policy: WritePolicy) -> None:
        super().__init__(base)
        self._digest = digest
        self._policy = policy

    async def commit(self) -> None:
        """Make the blob visible here, then do as the policy says.

        :raises Unavailable: the backing cache has to have it, and is in trouble; the blob is
            here all the same, so that the next try needs none of its bytes.
        """
        await self._base.commit()
        await self._policy.blob_arrived(self._digest)


class ProxyUploads(UploadsDecorator):
    """The uploads of the local tier.

    :param base: keeps what arrives.
    :param policy: what becomes of a blob that is whole.
    """

    def __init__(self, base: IUploads, policy: WritePolicy) -> None:
        super().__init__(base)
        self._policy = policy

    async def open(self, name: str, digest: Digest) -> IUpload:
        """The upload of that name."""
        return ProxyUpload(await self._base.open(name, digest), digest, self._policy)

    async def is_needless(self, digest: Digest) -> bool:
        """Whether the local tier has it; then the backing cache has it too, if it has to.

        :raises Unavailable: the backing cache has to have it, and is in trouble.
        """
        needless = await self._base.is_needless(digest)
        if needless:
            await self._policy.blob_present(digest)
        return needless
