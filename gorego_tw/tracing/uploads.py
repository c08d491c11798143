"""Uploads that are recorded and counted."""

from __future__ import annotations

from zope.interface import implementer

from gorego_tw.digest import Digest
from gorego_tw.interfaces import IUpload, IUploads
from gorego_tw.telemetry.tallies import Tier
from gorego_tw.tracing.blobs import StoreName
from gorego_tw.tracing.operation import Kind, Operation, tally_of


@implementer(IUpload)
class TracedUpload:
    """An upload whose commit is a write of the store."""

    def __init__(self, base: IUpload, digest: Digest, kind: Kind) -> None:
        self._base = base
        self._digest = digest
        self._kind = kind

    @property
    def committed_size(self) -> int:
        """How many bytes are held, in bytes."""
        return self._base.committed_size

    async def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        await self._base.write(data)

    async def commit(self) -> None:
        """As the upload."""
        with Operation(self._kind):
            await self._base.commit()
        tally = tally_of("put")
        if tally is not None:
            tally.sizes.observe(self._digest.size_bytes)

    async def suspend(self) -> None:
        """Keep what was written for a later call."""
        await self._base.suspend()

    async def abandon(self) -> None:
        """Drop what was written."""
        await self._base.abandon()


@implementer(IUploads)
class TracedUploads:
    """Uploads to a store.

    :param name: what its spans are called.
    :param tier: which one it is, for who counts; None if it is several.
    """

    def __init__(self, base: IUploads, name: StoreName, tier: Tier | None = None) -> None:
        self._base = base
        self._open = Kind(f"{name}.OpenUpload", "")
        self._put = Kind.of(f"{name}.Put", "put", tier)
        self._find = Kind(f"{name}.FindMissing", "")

    async def open(self, name: str, digest: Digest) -> IUpload:
        """As the uploads."""
        with Operation(self._open):
            upload = await self._base.open(name, digest)
        return TracedUpload(upload, digest, self._put)

    async def committed_size(self, name: str) -> int:
        """How many bytes an upload of that name holds, in bytes."""
        return await self._base.committed_size(name)

    async def is_needless(self, digest: Digest) -> bool:
        """As the uploads; a write that is needless is done."""
        with Operation(self._find):
            is_needless = await self._base.is_needless(digest)
        tally = tally_of("put") if is_needless else None
        if tally is not None and self._put.key in tally.tiers:
            tally.tiers[self._put.key].hit += 1
        return is_needless
