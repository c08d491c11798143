"""What is brought into a tier from outside: blobs and action results, verified."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

from gorego_tw.control.names import digest_in, is_empty, shown
from gorego_tw.errors import InvalidArgument, StatusError
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

#: The length of an action result's key, in bytes.
_KEY_BYTES = 33


class Brought:
    """Takes in what the owner brings.

    :param tier: where it is kept.
    """

    def __init__(self, tier: LocalTier) -> None:
        self._tier = tier

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
        await self._tier.space.room(digest.size_bytes)
        # Nobody goes on with it later, not even a blob of another process that was killed meanwhile.
        upload = await uploads.open(f"control {uuid4()}", digest)
        try:
            await upload.write(first.data)
            async for request in requests:
                await upload.write(request.data)
            await upload.commit()
        except BaseException:
            await upload.abandon()
            raise
        return False

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
                yield WriteSeveralResponse.Outcome(existed=await self.action_result(result))
            except StatusError as error:
                yield _refusal(error)

    async def action_result(self, stored: StoredResult) -> bool:
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
        if self._is_here(stored.key):
            return True
        value = pack_action(result, self._tier.last_use.now)
        await self._tier.space.room(len(value))
        if self._is_here(stored.key):  # a client may have brought a newer one meanwhile
            return True
        self._tier.space.check(disk_bytes(len(value)))
        with self._tier.index.write() as txn:
            txn.put_action(stored.key, value)
        return False

    def _is_here(self, key: bytes) -> bool:
        here = self._tier.index.action(key)
        return here is not None and damage_of_action(here) is None


async def _one(request: WriteRequest) -> AsyncIterator[WriteRequest]:
    yield request


def _refusal(error: StatusError) -> WriteSeveralResponse.Outcome:
    return WriteSeveralResponse.Outcome(code=error.code, message=error.message)
