"""What the tests of the local tier have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from random import Random
from threading import enumerate as running_threads

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gorego_tw.body import BytesBody
from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.interfaces import IBlobAccess, IBlobBody
from gorego_tw.storage.closing import CLOSING
from gorego_tw.storage.disk_threads import DiskThreads, HeldDiskThreads, NoDiskThreads
from gorego_tw.storage.records import INLINE_LIMIT
from gorego_tw.storage.tier import LocalTier

#: Sizes on both sides of every border: in the index, one write, several writes, several reads.
SIZES = (1, INLINE_LIMIT, INLINE_LIMIT + 1, 100_000, 512 * 1024, 512 * 1024 + 1, 1_500_000)

#: A limit no test reaches unless it means to.
LIMIT_BYTES = 1 << 30


def blob(
    size_bytes: int, seed: int = 0, function: DigestFunction = DigestFunction.SHA256
) -> tuple[Digest, bytes]:
    """A blob that looks random and is the same every time."""
    data = Random(f"{size_bytes} {seed}").randbytes(size_bytes)
    return digest_of(data, function), data


async def put(blobs: IBlobAccess, digest: Digest, data: bytes) -> None:
    """Keep a blob that is in memory."""
    await blobs.put(digest, BytesBody(data))


async def read(
    blobs: IBlobAccess, digest: Digest, offset: int = 0, end: int | None = None
) -> bytes:
    """A blob from ``offset`` to ``end``, read in pieces."""
    body = await blobs.get(digest)
    data = bytearray()
    async with closing(body.chunks(offset, end)) as pieces:
        async for piece in pieces:
            data += piece
    return bytes(data)


@implementer(IBlobBody)
class PiecesBody:
    """A body that comes in pieces, and may be something else than it says.

    :ivar closed: whether it was let go of.
    """

    def __init__(
        self, size_bytes: int, *pieces: bytes | memoryview, error: Exception | None = None
    ) -> None:
        self.size_bytes = size_bytes
        self.pieces = pieces
        self.error = error
        self.closed = False

    async def chunks(
        self, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes | memoryview]:
        assert not offset
        try:
            for piece in self.pieces:
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True

    async def read_all(self) -> bytes:
        self.closed = True
        if self.error is not None:
            raise self.error
        return b"".join(self.pieces)

    def discard(self) -> None:
        self.closed = True


def in_pieces(data: bytes, size_bytes: int = 10_000) -> PiecesBody:
    """A body that comes in pieces of that size."""
    starts = range(0, len(data), size_bytes)
    return PiecesBody(len(data), *(data[start : start + size_bytes] for start in starts))


def open_files() -> set[str]:
    """What this process has open, when what is being closed in threads of its own is closed."""
    for thread in running_threads():
        if thread.name == CLOSING:
            thread.join()
    found = set()
    for fd in list(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):  # the folder that was listed
            found.add(f"{fd.name} {fd.readlink()}")
    return found


class TierTestCase(SynchronousTestCase):
    """Has a folder and opens a local tier in it."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.tier = self.open_tier()

    def open_tier(
        self, limit_bytes: int = LIMIT_BYTES, threads: DiskThreads | None = None
    ) -> LocalTier:
        """The tier of the folder, closed at the end of the test."""
        tier = LocalTier.open(
            self.folder,
            limit_bytes=limit_bytes,
            free_reserve_bytes=0,
            clock=self.clock,
            threads=threads or NoDiskThreads(),
        )
        self._open = True
        self.addCleanup(self.close_tier, tier)
        self.tier = tier
        return tier

    def close_tier(self, tier: LocalTier) -> None:
        """Close it, if that was not done."""
        if self._open and tier is self.tier:
            self._open = False
            closing = Deferred.fromCoroutine(tier.close())
            if isinstance(tier.threads, HeldDiskThreads):
                tier.threads.release()
            self.successResultOf(closing)

    def reopen(
        self, limit_bytes: int = LIMIT_BYTES, threads: DiskThreads | None = None
    ) -> LocalTier:
        """The same folder in another process, as it were."""
        self.close_tier(self.tier)
        return self.open_tier(limit_bytes, threads)

    def put(self, size_bytes: int, seed: int = 0) -> tuple[Digest, bytes]:
        """Keep such a blob."""
        digest, data = blob(size_bytes, seed)
        self.successResultOf(put(self.tier.blobs, digest, data))
        return digest, data

    def path(self, digest: Digest) -> Path:
        """Where the file of a blob is."""
        return Path(self.tier.files.path(digest.key))

    def left_behind(self) -> list[str]:
        """What is in the folders of uploads and trash."""
        folders = (self.folder / "uploads", self.folder / "trash")
        return [path.name for folder in folders for path in folder.iterdir()]

    def left_for_good(self) -> list[str]:
        """The same, when the trash was emptied, where large files wait for a thread."""
        self.tier.files.empty_trash()
        return self.left_behind()
