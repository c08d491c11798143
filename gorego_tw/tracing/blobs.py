"""A store of blobs whose operations are recorded and counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Literal, TypeAlias

from gorego_tw.digest import Digest
from gorego_tw.errors import NotFound, Reason
from gorego_tw.interfaces import IBlobAccess, IBlobBody
from gorego_tw.replication.copying import Sink
from gorego_tw.storage.decorator import BlobAccessDecorator
from gorego_tw.telemetry.body import TracedBody
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.tallies import Tier
from gorego_tw.tracing.operation import Kind, Operation, broke, tally_of, took

#: What spans of a store are called, before the operation.
StoreName: TypeAlias = Literal["LocalStore", "RemoteStore", "ProxyStore"]


class TracedBlobs(BlobAccessDecorator):
    """A store.

    :param name: what its spans are called.
    :param tier: which one it is, for who counts; None if it is several.
    """

    def __init__(self, base: IBlobAccess, name: StoreName, tier: Tier | None = None) -> None:
        super().__init__(base)
        self._get = Kind.of(f"{name}.Get", "get", tier)
        self._put = Kind.of(f"{name}.Put", "put", tier)
        self._find = Kind.of(f"{name}.FindMissing", "find_missing", tier)
        # A local body is in memory, or read by threads, which say themselves how long they took.
        self._is_streamed = tier != "local"

    async def get(self, digest: Digest) -> IBlobBody:
        """As the store; the span of what is streamed ends with the stream."""
        with Operation(self._get) as operation:
            body = await self._base.get(digest)
            operation.goes_on = self._is_streamed
        if operation.span is not None and self._is_streamed:
            return TracedBody(body, operation.span)
        return body

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """As the store."""
        with Operation(self._put):
            await self._base.put(digest, body)

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """As the store; each blob counts."""
        span = current.get()
        if span is None:
            return await self._base.find_missing(digests)
        root, many = span.root, len(digests)
        if root.is_sampled:
            with Operation(self._find, many) as operation:
                missing = await self._base.find_missing(digests)
                operation.missing = _absent(digests, missing)
            return missing
        started = root.recorder.now()
        try:
            missing = await self._base.find_missing(digests)
        except BaseException as error:
            broke(root, self._find, started, error, many)
            raise
        absent = _absent(digests, missing)
        took(root, self._find, started, many - absent, absent)
        return missing


class TracedSink(TracedBlobs):
    """A store that blobs are copied to.

    :param base: an IBlobAccess and a Sink (:mod:`gorego_tw.replication.copying`) at once.
    """

    def __init__(self, base: Any, name: StoreName, tier: Tier | None = None) -> None:
        super().__init__(base, name, tier)
        self._sink: Sink = base

    async def put_from(self, digest: Digest, open_body: Callable[[], Awaitable[IBlobBody]]) -> None:
        """As the store."""
        with Operation(self._put):
            await self._sink.put_from(digest, open_body)


class ServedBlobs(TracedBlobs):
    """The store that clients see: what they miss is counted, and how large what they get is.

    :param absence: why a blob is absent of which nothing else is known.
    """

    def __init__(
        self,
        base: IBlobAccess,
        name: StoreName,
        tier: Tier | None,
        absence: Callable[[Digest], Reason],
    ) -> None:
        super().__init__(base, name, tier)
        self._absence = absence

    async def get(self, digest: Digest) -> IBlobBody:
        """As the store."""
        tally = tally_of("get")
        if tally is None:
            return await super().get(digest)
        try:
            body = await super().get(digest)
        except NotFound as error:
            known = error.reason != "absent"
            tally.misses[error.reason if known else self._absence(digest)] += 1
            raise
        tally.sizes.note(digest.size_bytes)
        return body

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """As the store."""
        await super().put(digest, body)
        tally = tally_of("put")
        if tally is not None:
            tally.sizes.note(digest.size_bytes)

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """As the store."""
        missing = await super().find_missing(digests)
        tally = tally_of("find_missing") if missing else None
        if tally is not None:
            for digest in missing:
                tally.misses[self._absence(digest)] += 1
        return missing


def _absent(digests: Collection[Digest], missing: Collection[Digest]) -> int:
    """How many of the digests are missing: each is named once, however often it was asked for."""
    if not missing or len(missing) == len(digests):
        return len(missing)
    gone = set(missing)
    return sum(digest in gone for digest in digests)
