"""A backing cache with all the services of one, on a socket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from twisted.internet import reactor
from zope.interface import implementer

from gorego_tw.body import BytesBody
from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import StatusError
from gorego_tw.grpc.router import Call, IRPCService, Method
from gorego_tw.interfaces import IBlobBody
from gorego_tw.reapi.byte_stream import ByteStream
from gorego_tw.reapi.cas import ContentAddressableStorage
from gorego_tw.reapi.limits import Limits
from gorego_tw.remote.blobs import RemoteBlobs
from gorego_tw.remote.capabilities import Capabilities, PeerCapabilities
from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.storage.memory import MemoryBlobs, MemoryUploads
from tests.remote.peer import PeerTestCase


@implementer(IRPCService)
class Counting:
    """A service that counts its calls, and fails when it is told to.

    :ivar counts: of calls, by the name of the method.
    :ivar failures: what the next calls of a method fail with, before it sees them.
    """

    def __init__(self, base: IRPCService) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: dict[str, list[StatusError]] = {}
        self._base = base

    def methods(self) -> Mapping[str, Method]:
        """Those of the service."""
        return {
            path: method._replace(handle=self._wrapped(path.rpartition("/")[2], method.handle))
            for path, method in self._base.methods().items()
        }

    def _wrapped(self, name: str, handle: Callable[..., Any]) -> Callable[..., Any]:
        def counted(request: Any, call: Call) -> Any:
            self.counts[name] += 1
            if self.failures.get(name):
                raise self.failures[name].pop(0)
            return handle(request, call)

        return counted


class BreakingBlobs(MemoryBlobs):
    """Blobs whose bodies break off.

    :ivar breaks: for each of the next reads, the failure and after how many bytes.
    :ivar lies: bytes that are given in place of a blob's own.
    :ivar troubles: what the next reads of a blob fail with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.breaks: list[tuple[int, StatusError | None]] = []
        self.lies: dict[Digest, bytes] = {}
        self.troubles: dict[Digest, list[StatusError]] = {}

    async def get(self, digest: Digest) -> IBlobBody:
        """The blob, as the test wants it."""
        if self.troubles.get(digest):
            raise self.troubles[digest].pop(0)
        if digest in self.lies:
            return _Claiming(self.lies[digest], digest.size_bytes)
        body = await super().get(digest)
        if self.breaks:
            return _Breaking(self.blobs[digest], *self.breaks.pop(0))
        return body


class _Claiming(BytesBody):
    """A body that says it has another size than it has."""

    def __init__(self, data: bytes, size_bytes: int) -> None:
        super().__init__(data)
        self._claimed = size_bytes

    @property
    def size_bytes(self) -> int:
        """What it says."""
        return self._claimed


class _Breaking(BytesBody):
    """A body that ends too early, one way or the other."""

    def __init__(self, data: bytes, after: int, failure: StatusError | None) -> None:
        super().__init__(data)
        self._after = after
        self._failure = failure

    async def chunks(self, offset: int = 0, end: int | None = None) -> Any:
        """Some of the bytes."""
        if offset < self._after:
            yield self.data[offset : self._after]
        if self._failure is not None:
            raise self._failure


def blob(size_bytes: int, seed: int = 0, *, compressible: bool = False) -> tuple[Digest, bytes]:
    """A blob that is the same every time."""
    data = Random(f"{size_bytes} {seed}").randbytes(1000 if compressible else size_bytes)
    data = (data * (size_bytes // 1000 + 1))[:size_bytes] if compressible else data
    return digest_of(data, DigestFunction.SHA256), data


class CacheTestCase(PeerTestCase):
    """Has a backing cache and the blobs of it.

    :ivar there: what is in it.
    """

    def setUp(self) -> None:
        super().setUp()
        self.blobs = self.remote()

    def services(self) -> Iterable[IRPCService]:
        """Those of a CAS."""
        self.there = BreakingBlobs()
        self.uploads = MemoryUploads(self.there)
        limits = Limits()
        self.cas = Counting(ContentAddressableStorage(self.there, limits, NoDiskThreads()))
        self.byte_stream = Counting(ByteStream(self.there, self.uploads, limits))
        return [self.cas, self.byte_stream]

    def remote(
        self,
        *,
        compression: bool = False,
        max_blob_size_bytes: int = 0,
        capabilities: PeerCapabilities | None = None,
    ) -> RemoteBlobs:
        """The blobs as a store."""
        link = self.link(retries=3)
        known = Capabilities(link, "")
        known.current = capabilities or PeerCapabilities(reads_zstd=True, batches_zstd=True)
        clock: Any = reactor
        return RemoteBlobs(
            link,
            known,
            instance_name="a/b",
            compression=compression,
            max_blob_size_bytes=max_blob_size_bytes,
            clock=clock,
        )

    def keep(self, size_bytes: int, seed: int = 0, *, compressible: bool = False) -> Digest:
        """A blob that is there."""
        digest, data = blob(size_bytes, seed, compressible=compressible)
        self.there.blobs[digest] = data
        return digest
