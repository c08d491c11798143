"""What is brought into a tier from outside: blobs and action results, verified."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

from gorego_tw.control.names import digest_in, is_empty, shown
from gorego_tw.digest import Digest
from gorego_tw.errors import InvalidArgument, ResourceExhausted, StatusError
from gorego_tw.interfaces import IUpload
from gorego_tw.pb.gorego.control.v1.control_pb2 import (
    StoredResult,
    WriteRequest,
    WriteSeveralRequest,
    WriteSeveralResponse,
)
from gorego_tw.storage.records import (
    ACTIONS,
    DamagedRecord,
    damage_of_action,
    disk_bytes,
    pack_action,
    unpack_action,
)
from gorego_tw.storage.tier import LocalTier

#: How often it is looked whether eviction has made room for a blob, and how long is waited each time, in seconds.
_ROOM_PAUSES = 10
_ROOM_SECONDS = 0.2

#: The length of an action result's key, in bytes.
_KEY_BYTES = 33


class Brought:
    """Takes in what the owner brings.

    :param tier: where it is kept.
    :param pause: waits for so many seconds, in which others have their turn.
    :param is_evicted: whether somebody makes room meanwhile.
    """

    def __init__(
        self, tier: LocalTier, pause: Callable[[float], Awaitable[object]], *, is_evicted: bool
    ) -> None:
        self._tier = tier
        self._pause = pause
        self._waits = self._is_evicted = is_evicted

    async def blob(self, requests: AsyncIterator[WriteRequest]) -> bool:
        """Keep a blob.

        :returns: whether it was there already.
        :raises InvalidArgument: it does not have the digest in its first message.
        :raises ResourceExhausted: no room.
        """
        first = await anext(requests, None)
        if first is None:
            raise InvalidArgument("no blob: the stream has no message")
        digest = digest_in(first.name)
        uploads = self._tier.uploads
        if not digest.size_bytes and not is_empty(first.name):
            raise InvalidArgument(f"blob {shown(digest)}: a size of 0 and not the empty blob")
        if not digest.size_bytes or await uploads.is_needless(digest):
            return True
        upload = await self._opened(digest)
        try:
            await upload.write(first.data)
            async for request in requests:
                await upload.write(request.data)
            await upload.commit()
        except BaseException:
            await upload.abandon()
            raise
        return False

    async def _opened(self, digest: Digest) -> IUpload:
        """A place for a blob. One that is larger than what is kept free waits for eviction."""
        # Nobody goes on with it later, not even a blob of another process that was killed meanwhile.
        name = f"control {uuid4()}"
        for _ in range(_ROOM_PAUSES if self._waits else 0):
            try:
                return await self._tier.uploads.open(name, digest)
            except ResourceExhausted as error:
                if not error.details:  # it will never fit
                    raise
            await self._pause(_ROOM_SECONDS)
        # Who brings thousands to a full disk does not wait for each.
        self._waits = False
        upload: IUpload = await self._tier.uploads.open(name, digest)
        self._waits = self._is_evicted
        return upload

    async def several(
        self, request: WriteSeveralRequest
    ) -> AsyncIterator[WriteSeveralResponse.Outcome]:
        """Keep each of those blobs and action results: what became of it."""
        for blob in request.blobs:
            try:
                yield WriteSeveralResponse.Outcome(existed=await self.blob(_one(blob)))
            except StatusError as error:
                yield _refusal(error)
        for result in request.results:
            try:
                yield WriteSeveralResponse.Outcome(existed=self.action_result(result))
            except StatusError as error:
                yield _refusal(error)

    def action_result(self, stored: StoredResult) -> bool:
        """Keep an action result as it was listed elsewhere. One that is here already stays: it is newer, or the same.

        :returns: whether there was one.
        :raises InvalidArgument: it is damaged.
        :raises ResourceExhausted: no room.
        """
        if len(stored.key) != _KEY_BYTES or stored.key[0] != ACTIONS:
            raise InvalidArgument(f"action result {stored.key.hex()[:80]}: no key of one")
        try:
            result = unpack_action(stored.value)
        except DamagedRecord as error:
            raise InvalidArgument(f"action result {stored.key.hex()}: {error}") from None
        here = self._tier.index.action(stored.key)
        if here is not None and damage_of_action(here) is None:
            return True
        value = pack_action(result, self._tier.last_use.now)
        self._tier.space.check(disk_bytes(len(value)))
        with self._tier.index.write() as txn:
            txn.put_action(stored.key, value)
        return False


async def _one(request: WriteRequest) -> AsyncIterator[WriteRequest]:
    yield request


def _refusal(error: StatusError) -> WriteSeveralResponse.Outcome:
    return WriteSeveralResponse.Outcome(code=error.code, message=error.message)
