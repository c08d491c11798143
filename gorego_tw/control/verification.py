"""``gorego cache verify``: every entry compared with its hash."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from gorego_tw.control.inspection import Inspection
from gorego_tw.control.names import shown
from gorego_tw.digest import Digest
from gorego_tw.pb.gorego.control.v1.control_pb2 import VerifyResponse
from gorego_tw.storage.entries import Entries
from gorego_tw.storage.records import (
    BlobRecord,
    DamagedRecord,
    damage_of_action,
    entry_name,
    unpack_blob,
)
from gorego_tw.storage.tier import LocalTier

#: How much is read before it is told how far it is, in bytes and in entries.
_TOLD_BYTES = 16 << 20
_TOLD_ENTRIES = 200

#: How many entries are looked at before others have their turn: the small ones take a millisecond.
_TURN_ENTRIES = 32

#: A larger one takes 0.1 ms by itself, in bytes.
_TURN_BYTES = 64 << 10


class Verification:
    """One pass over all blobs, then over all action results.

    :param repair: whether what is damaged is dropped. What the disk cannot read, which may pass, is looked at
        again later by a daemon, and dropped then.
    :param bytes_per_second: how fast; 0 for as fast as it can be.
    :param pause: waits for so many seconds; others have their turn meanwhile.
    """

    def __init__(
        self,
        tier: LocalTier,
        *,
        repair: bool,
        bytes_per_second: int,
        pause: Callable[[float], Awaitable[object]],
    ) -> None:
        self._tier = tier
        self._entries = Entries(tier.environment)
        self._inspection = Inspection(tier, self._is_unreadable)
        self._stays = False
        self._repair = repair
        self._bytes_per_second = bytes_per_second
        self._pause = pause
        self._progress = VerifyResponse(
            all_entries=sum(tally.entries for tally in tier.index.tallies.values())
        )

    async def run(self) -> AsyncIterator[VerifyResponse]:
        """How far it is, and what is damaged."""
        told = VerifyResponse()
        async for _ in self._steps():
            now = self._progress
            if (
                now.damages
                or now.bytes - told.bytes >= _TOLD_BYTES
                or now.entries - told.entries >= _TOLD_ENTRIES
            ):
                told = VerifyResponse()
                told.CopyFrom(now)
                yield told
                del now.damages[:]
        yield self._progress

    async def _steps(self) -> AsyncIterator[None]:
        """One entry after the other."""
        key = b""
        while page := self._entries.blobs(key):
            for key, value in page:
                await self._look_at_blob(key, value)
                yield
        key = b""
        while page := self._entries.action_results(key):
            for key, value in page:
                await self._keep_pace(len(value))
                await self._count(len(value))
                if damage := damage_of_action(value):
                    self._damaged(key, entry_name(key), damage)
                yield

    async def _look_at_blob(self, key: bytes, value: bytes) -> None:
        try:
            digest = Digest(key, unpack_blob(key, value).size_bytes)
        except DamagedRecord as error:
            await self._count(0)
            self._damaged(key, entry_name(key), str(error))
            return
        damage = await self._inspection.damage(digest, self._keep_pace)
        await self._count(digest.size_bytes)
        # It may have been evicted meanwhile, and put again.
        if damage is not None:
            again = await self._inspection.damage(digest, self._keep_pace)
            if again is not None:
                self._damaged(key, shown(digest), damage)
            self._stays = False

    def _is_unreadable(self, digest: Digest, record: BlobRecord, error: OSError) -> bool:
        self._stays = self._repair and self._tier.unreadable.may_pass(digest, record, error)
        return False

    async def _count(self, size_bytes: int) -> None:
        self._progress.entries += 1
        self._progress.bytes += size_bytes
        if size_bytes > _TURN_BYTES or not self._progress.entries % _TURN_ENTRIES:
            await self._pause(0)

    async def _keep_pace(self, size_bytes: int) -> None:
        if self._bytes_per_second:
            await self._pause(size_bytes / self._bytes_per_second)

    def _damaged(self, key: bytes, entry: str, damage: str) -> None:
        drops = self._repair and not self._stays
        dropped = drops and self._tier.inventory.drop(key, damage)
        if not self._repair:
            self._tier.inventory.leave(key, damage)
        self._progress.damages.add(entry=entry, reason=damage, dropped=dropped)
