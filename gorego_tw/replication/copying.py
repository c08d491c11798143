"""Copies from the local tier to the backing cache."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from gorego_tw.concurrency import gather
from gorego_tw.digest import Digest
from gorego_tw.errors import FailedPrecondition
from gorego_tw.interfaces import IBlobAccess, IBlobBody
from gorego_tw.replication.presence import Presence
from gorego_tw.replication.shared_work import SharedWork

#: How many blobs of one action result are copied at the same time.
WIDTH = 16


class Sink(Protocol):
    """Where blobs are copied to."""

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """Those that are absent there, in their order, each once."""

    async def put_from(self, digest: Digest, open_body: Callable[[], Awaitable[IBlobBody]]) -> None:
        """Keep the blob there; ``open_body`` gives its bytes, again for each new try."""


class Copying:
    """Copies blobs, each once however many ask for it at the same time.

    :param source: where they are.
    :param sink: where they go.
    :param presence: knows what is there, and is told.
    :param max_blob_size_bytes: larger ones stay where they are; 0 for no limit.
    :ivar copied: how many were.
    :ivar spared: how many that arrived were there already.
    """

    def __init__(
        self,
        source: IBlobAccess,
        sink: Sink,
        presence: Presence,
        *,
        max_blob_size_bytes: int = 0,
    ) -> None:
        self.copied = 0
        self.spared = 0
        self._source = source
        self._sink = sink
        self._presence = presence
        self._max_blob_size_bytes = max_blob_size_bytes
        self._copies: SharedWork[Digest, None] = SharedWork(
            self._copy, "copy to the backing cache", "put"
        )

    @property
    def joined(self) -> int:
        """How often somebody waited for a copy that was under way."""
        return self._copies.joined

    def fits(self, digest: Digest) -> bool:
        """Whether the blob is one that goes there at all."""
        return not self._max_blob_size_bytes or digest.size_bytes <= self._max_blob_size_bytes

    def is_needed(self, digest: Digest) -> bool:
        """Whether a blob that has arrived here is to go there: it fits, and is not known to be there."""
        if digest in self._presence:
            self.spared += 1
            return False
        return self.fits(digest)

    def is_known(self, digest: Digest) -> bool:
        """Whether it was there a short while ago."""
        return digest in self._presence

    def forget(self, digests: Collection[Digest]) -> None:
        """They turned out not to be there."""
        self._presence.forget(digests)

    async def copy(self, digest: Digest) -> None:
        """Copy a blob without asking whether it is there.

        :raises NotFound: it is not here.
        :raises Unavailable: it did not get there.
        """
        await self._copies(digest)

    async def ensure(self, digests: Collection[Digest]) -> None:
        """Make sure that all of them are there: ask for those of which it is not known, copy what is missing.

        :raises NotFound: one is neither there nor here.
        :raises FailedPrecondition: one is too large for it.
        :raises Unavailable: they did not get there.
        """
        too_large = next((digest for digest in digests if not self.fits(digest)), None)
        if too_large is not None:
            raise FailedPrecondition(
                f"backing cache: blob {too_large}: larger than the "
                f"{self._max_blob_size_bytes} bytes of max_backing_blob_size_bytes"
            )
        unknown = self._presence.unknown(digests)
        if not unknown:
            return
        missing = await self._sink.find_missing(unknown)
        self._presence.add(set(unknown).difference(missing))
        await gather((self.copy(digest) for digest in missing), WIDTH)

    def close(self) -> None:
        """Break off what is under way."""
        self._copies.close()

    async def _copy(self, digest: Digest) -> None:
        await self._sink.put_from(digest, lambda: self._source.get(digest))
        self._presence.add((digest,))
        self.copied += 1
