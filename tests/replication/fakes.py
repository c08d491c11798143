"""A backing cache in memory that tells what it was asked, and fails when it is told to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from gorego_tw.digest import Digest
from gorego_tw.errors import StatusError
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage.memory import MemoryBlobs


class FakeRemote(MemoryBlobs):
    """Blobs of a backing cache.

    :ivar asked: each list of digests that was asked for.
    :ivar failure: what every call fails with, if anything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[Digest]] = []
        self.failure: StatusError | None = None

    async def get(self, digest: Digest) -> IBlobBody:
        """The blob."""
        self._fail()
        return await super().get(digest)

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """Keep the blob."""
        self._fail()
        await super().put(digest, body)

    async def put_from(self, digest: Digest, open_body: Callable[[], Awaitable[IBlobBody]]) -> None:
        """Keep the blob."""
        self._fail()
        await self.put(digest, await open_body())

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """Those that are absent."""
        self.asked.append(list(digests))
        self._fail()
        return await super().find_missing(digests)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
