"""Uploads that are recorded and counted."""

from __future__ import annotations

from gorego_tw.digest import Digest
from gorego_tw.interfaces import IUpload, IUploads
from gorego_tw.storage.decorator import UploadDecorator, UploadsDecorator
from gorego_tw.telemetry.tallies import Tier
from gorego_tw.tracing.blobs import StoreName
from gorego_tw.tracing.operation import Kind, Operation, tally_of


class TracedUpload(UploadDecorator):
    """An upload whose commit is a write of the store."""

    def __init__(self, base: IUpload, kind: Kind) -> None:
        super().__init__(base)
        self._kind = kind

    async def commit(self) -> None:
        """As the upload."""
        with Operation(self._kind):
            await self._base.commit()


class TracedUploads(UploadsDecorator):
    """Uploads to a store.

    :param name: what its spans are called.
    :param tier: which one it is, for who counts; None if it is several.
    """

    def __init__(self, base: IUploads, name: StoreName, tier: Tier | None = None) -> None:
        super().__init__(base)
        self._open = Kind(f"{name}.OpenUpload", "")
        self._put = Kind.of(f"{name}.Put", "put", tier)
        self._find = Kind(f"{name}.FindMissing", "")

    async def open(self, name: str, digest: Digest) -> IUpload:
        """As the uploads."""
        with Operation(self._open):
            upload = await self._base.open(name, digest)
        return self._traced(upload, digest)

    async def is_needless(self, digest: Digest) -> bool:
        """As the uploads; a write that is needless is done."""
        with Operation(self._find):
            is_needless = await self._base.is_needless(digest)
        tally = tally_of("put") if is_needless else None
        if tally is not None and self._put.key in tally.tiers:
            tally.tiers[self._put.key].hit += 1
        return is_needless

    def _traced(self, upload: IUpload, _: Digest) -> IUpload:
        return TracedUpload(upload, self._put)


class ServedUpload(TracedUpload):
    """An upload of a client: how large it is is counted when it is whole."""

    def __init__(self, base: IUpload, kind: Kind, digest: Digest) -> None:
        super().__init__(base, kind)
        self._digest = digest

    async def commit(self) -> None:
        """As the upload."""
        await super().commit()
        tally = tally_of("put")
        if tally is not None:
            tally.sizes.note(self._digest.size_bytes)


class ServedUploads(TracedUploads):
    """The uploads that clients see."""

    def _traced(self, upload: IUpload, digest: Digest) -> IUpload:
        return ServedUpload(upload, self._put, digest)
