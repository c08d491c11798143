"""Blobs of a tier, as bytes for its owner: one of them, or all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from gorego_tw.body import PIECE_BYTES
from gorego_tw.concurrency import closing
from gorego_tw.control.inspection import Inspection
from gorego_tw.control.names import found, is_empty, message_of, shown
from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, NotFound
from gorego_tw.pb.gorego.control.v1.control_pb2 import BlobName, ReadAllResponse, ReadResponse
from gorego_tw.storage.entries import Entries
from gorego_tw.storage.records import DamagedRecord, entry_name, unpack_blob
from gorego_tw.storage.tier import LocalTier

#: How many blobs are read before others have their turn: the small ones take a millisecond.
_TURN_BLOBS = 32


class Reading:
    """Reads without changing anything; damage is counted, and told in the log.

    :param tier: is left as it is.
    :param pause: waits for so many seconds, in which others have their turn.
    """

    def __init__(self, tier: LocalTier, pause: Callable[[float], Awaitable[object]]) -> None:
        self._entries = Entries(tier.environment)
        self._inventory = tier.inventory
        self._inspection = Inspection(tier)
        self._pause = pause

    async def one(self, name: BlobName) -> AsyncIterator[ReadResponse]:
        """A blob, in pieces; damage is told at the end at the latest. The empty one is always there.

        :raises NotFound: it is absent.
        :raises DataLoss: it is damaged.
        """
        if is_empty(name):
            empty = BlobName(digest_function=name.digest_function, hash=name.hash)
            yield ReadResponse(name=empty)
            return
        digest = found(name, self._entries)
        try:
            body = await self._inspection.open(digest)
            digest = digest._replace(size_bytes=body.size_bytes)
            yield ReadResponse(name=message_of(digest))
            hasher = digest.function.hasher()
            async with closing(body.chunks()) as pieces:
                async for piece in pieces:
                    await self._inspection.hash(hasher, piece)
                    yield ReadResponse(data=bytes(piece))
        except DataLoss as error:
            self._inspection.tell(digest, error.message)
            raise
        if hasher.digest() != digest.key[1:]:
            self._inspection.tell(digest, "wrong hash")
            raise DataLoss(f"blob {shown(digest)}: wrong hash; gorego cache verify finds all such")

    async def all(self) -> AsyncIterator[ReadAllResponse]:
        """Every blob, one after the other; of those that are damaged what is wrong."""
        key, count = b"", 0
        while page := self._entries.blobs(key):
            for key, value in page:
                try:
                    digest = Digest(key, unpack_blob(key, value).size_bytes)
                except DamagedRecord as error:
                    self._inventory.leave(key, str(error))
                    damage = f"blob {entry_name(key)}: {error}"
                    yield ReadAllResponse(name=message_of(Digest(key, 0)), damage=damage)
                    continue
                async with closing(self._whole(digest)) as responses:
                    async for response in responses:
                        yield response
                count += 1
                if not count % _TURN_BLOBS:
                    await self._pause(0)

    async def _whole(self, digest: Digest) -> AsyncIterator[ReadAllResponse]:
        """Nothing of a blob that has gone by now."""
        try:
            body = await self._inspection.open(digest)
        except NotFound:
            return
        except DataLoss as error:
            self._inspection.tell(digest, error.message)
            yield ReadAllResponse(name=message_of(digest), damage=error.message)
            return
        digest = digest._replace(size_bytes=body.size_bytes)
        name = message_of(digest)
        hasher, done = digest.function.hasher(), 0
        damage = f"blob {shown(digest)}: wrong hash"
        try:
            async with closing(body.chunks()) as pieces:
                async for piece in pieces:
                    await self._inspection.hash(hasher, piece)
                    yield ReadAllResponse(name=None if done else name, data=bytes(piece))
                    done += len(piece)
        except DataLoss as error:
            damage = error.message
            # Whoever has begun to write it down has said how long it is.
            while done and done < digest.size_bytes:
                zeros = bytes(min(PIECE_BYTES, digest.size_bytes - done))
                yield ReadAllResponse(data=zeros)
                done += len(zeros)
        if hasher.digest() != digest.key[1:]:
            self._inspection.tell(digest, "wrong hash")
            yield ReadAllResponse(name=name, damage=damage)
