"""The blobs of a gRPC backing cache: each by the call that suits its size."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from gorego_tw.body import BytesBody
from gorego_tw.digest import Digest
from gorego_tw.errors import FailedPrecondition, NotFound, StatusError, Unimplemented
from gorego_tw.forwarding import forwarded
from gorego_tw.interfaces import IBlobAccess, IBlobBody
from gorego_tw.remote.batch_read import OVERHEAD_BYTES, BatchRead
from gorego_tw.remote.batch_update import BatchUpdate
from gorego_tw.remote.capabilities import Capabilities, PeerCapabilities
from gorego_tw.remote.find_missing import FindMissing
from gorego_tw.remote.link import Link
from gorego_tw.remote.reading import Reading
from gorego_tw.remote.writing import Writing
from gorego_tw.resource_name import Compressor
from gorego_tw.storage.blob_writer import check_size

#: Blobs of up to so many bytes travel in batches: one call of 150 µs for many, where a stream
#: takes as long for each. Larger ones are streamed, so that their first bytes come early.
SMALL_BYTES = 64 * 1024


@implementer(IBlobAccess)
class RemoteBlobs:
    """Reads and writes blobs there. The empty blob is somebody else's affair.

    :param compression: whether blobs travel compressed, if the peer offers that.
    :param max_blob_size_bytes: larger blobs are not there, and do not go there; 0 for no limit.
    """

    def __init__(
        self,
        link: Link,
        capabilities: Capabilities,
        *,
        instance_name: str,
        compression: bool,
        max_blob_size_bytes: int,
        clock: IReactorTime,
    ) -> None:
        self._reading = Reading(link, instance_name)
        self._writing = Writing(link, instance_name)
        self._capabilities = capabilities
        self._compression = compression
        self._max_blob_size_bytes = max_blob_size_bytes
        self._find_missing = FindMissing(link, instance_name, clock)

        def current() -> PeerCapabilities:
            return capabilities.current

        self._batch_read = BatchRead(
            link, instance_name, current, compression=compression, clock=clock
        )
        self._batch_update = BatchUpdate(
            link, instance_name, current, compression=compression, clock=clock
        )

    @property
    def resumed(self) -> int:
        """How often a stream that broke off was gone on with."""
        return self._reading.resuming.resumed

    async def get(self, digest: Digest) -> IBlobBody:
        """The blob; its first bytes have arrived."""
        if not self._may_be_there(digest):
            raise NotFound(
                f"backing cache: blob {digest}: not one that it is asked for", reason="denied"
            )
        if self._is_small(digest):
            return BytesBody(await self._batch_read(digest))
        return await self._reading.open(digest, self._compressor, forwarded())

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """Keep the blob there. A body can be read once, so what breaks off is not gone on with."""
        try:
            self._check(digest)
            check_size(digest, body.size_bytes)
        except StatusError:
            body.discard()
            raise
        if self._is_small(digest):
            await self._batch_update(digest, await body.read_all())
        else:
            await self._writing.once(digest, body, self._compressor, forwarded())

    async def put_from(self, digest: Digest, open_body: Callable[[], Awaitable[IBlobBody]]) -> None:
        """Keep the blob there, if need be after several tries; ``open_body`` gives its bytes for each."""
        self._check(digest)
        if self._is_small(digest):
            await self._batch_update(digest, await (await open_body()).read_all())
        else:
            await self._writing.write(digest, open_body, self._compressor, forwarded())

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """Those that are absent."""
        asked = [digest for digest in digests if self._may_be_there(digest)]
        missing = set(await self._find_missing(asked)) if asked else set()
        unasked = set(digests).difference(asked)
        return [d for d in dict.fromkeys(digests) if d in missing or d in unasked]

    @property
    def _compressor(self) -> Compressor:
        zstd = self._compression and self._capabilities.current.reads_zstd
        return Compressor.ZSTD if zstd else Compressor.IDENTITY

    def _is_small(self, digest: Digest) -> bool:
        most = self._capabilities.current.max_batch_total_size_bytes - OVERHEAD_BYTES
        return digest.size_bytes <= min(SMALL_BYTES, most)

    def _is_served(self, digest: Digest) -> bool:
        return digest.function in self._capabilities.current.digest_functions

    def _may_be_there(self, digest: Digest) -> bool:
        return self._is_served(digest) and not self._is_too_large(digest)

    def _is_too_large(self, digest: Digest) -> bool:
        return 0 < self._max_blob_size_bytes < digest.size_bytes

    def _check(self, digest: Digest) -> None:
        if not self._is_served(digest):
            served = sorted(f.name for f in self._capabilities.current.digest_functions)
            raise Unimplemented(
                f"backing cache: it serves no {digest.function.name}, but {', '.join(served)}"
            )
        if self._is_too_large(digest):
            raise FailedPrecondition(
                f"backing cache: blob {digest}: larger than the "
                f"{self._max_blob_size_bytes} bytes of max_backing_blob_size_bytes"
            )
