"""Stores in memory that behave as those on disk: for the tests of whoever uses a store."""

from __future__ import annotations

from collections.abc import Collection

from zope.interface import implementer

from gorego_tw.body import BytesBody
from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest
from gorego_tw.errors import Aborted, DigestMismatch, NotFound
from gorego_tw.interfaces import (
    ActionKey,
    IActionResults,
    IBlobAccess,
    IBlobBody,
    IUpload,
    IUploads,
    StoredActionResult,
)
from gorego_tw.storage.blob_writer import verified


@implementer(IBlobAccess)
class MemoryBlobs:
    """Blobs in memory.

    :ivar blobs: what is kept.
    """

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}

    async def get(self, digest: Digest) -> IBlobBody:
        """The blob."""
        try:
            return BytesBody(self.blobs[digest])
        except KeyError:
            raise NotFound(f"memory: no blob {digest}") from None

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """Keep the blob."""
        if body.size_bytes != digest.size_bytes:
            body.discard()
            raise DigestMismatch(f"blob {digest}: the data has {body.size_bytes} bytes")
        data = bytearray()
        async with closing(body.chunks()) as pieces:
            async for piece in pieces:
                data += piece
        self.blobs[digest] = verified(digest, bytes(data))

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """Those that are absent."""
        return [digest for digest in dict.fromkeys(digests) if digest not in self.blobs]


@implementer(IActionResults)
class MemoryActionResults:
    """Action results in memory.

    :ivar results: what is kept.
    """

    def __init__(self) -> None:
        self.results: dict[ActionKey, StoredActionResult] = {}

    async def get(self, key: ActionKey) -> StoredActionResult:
        """The action result."""
        try:
            return self.results[key]
        except KeyError:
            raise NotFound(f"memory: no result of the action {key.action}") from None

    async def put(self, key: ActionKey, result: StoredActionResult) -> None:
        """Keep the action result."""
        self.results[key] = result


@implementer(IUploads)
class MemoryUploads:
    """Uploads in memory.

    :param blobs: where those go that are whole.
    :ivar partial: what is held, by name.
    :ivar holders: who may go on with it, by name.
    """

    def __init__(self, blobs: MemoryBlobs) -> None:
        self.blobs = blobs
        self.partial: dict[str, bytearray] = {}
        self.holders: dict[str, object] = {}

    async def open(self, name: str, digest: Digest) -> IUpload:
        """The upload of that name."""
        if len(self.partial.setdefault(name, bytearray())) > digest.size_bytes:
            self.partial[name] = bytearray()
        upload = MemoryUpload(self, name, digest)
        self.holders[name] = upload
        return upload

    async def committed_size(self, name: str) -> int:
        """How many bytes an upload of that name holds, in bytes."""
        return len(self.partial.get(name, b""))

    async def is_needless(self, digest: Digest) -> bool:
        """Whether the blob is there already."""
        return digest in self.blobs.blobs


@implementer(IUpload)
class MemoryUpload:
    """An upload in memory."""

    def __init__(self, uploads: MemoryUploads, name: str, digest: Digest) -> None:
        self._uploads = uploads
        self._name = name
        self._digest = digest

    @property
    def committed_size(self) -> int:
        """How many bytes are held, in bytes."""
        return len(self._uploads.partial.get(self._name, b""))

    async def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._check()
        held = self._uploads.partial[self._name]
        if len(held) + len(data) > self._digest.size_bytes:
            self._end(keep=False)
            raise DigestMismatch(f"blob {self._digest}: more data than that")
        held += data

    async def commit(self) -> None:
        """Make the blob visible."""
        self._check()
        data = bytes(self._uploads.partial[self._name])
        self._end(keep=False)
        self._uploads.blobs.blobs[self._digest] = verified(self._digest, data)

    async def suspend(self) -> None:
        """Keep what was written."""
        self._end(keep=True)

    async def abandon(self) -> None:
        """Drop what was written."""
        self._end(keep=False)

    def _check(self) -> None:
        if self._uploads.holders.get(self._name) is not self:
            raise Aborted("memory: another call goes on with this upload")

    def _end(self, *, keep: bool) -> None:
        if self._uploads.holders.get(self._name) is self:
            del self._uploads.holders[self._name]
            if not keep:
                del self._uploads.partial[self._name]
