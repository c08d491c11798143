"""Looking at what is stored without changing it: no use is noted, and nothing is dropped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest, Hasher
from gorego_tw.errors import DataLoss, NotFound
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage.inventory import Inventory
from gorego_tw.storage.last_use import LastUse
from gorego_tw.storage.local import LocalBlobs
from gorego_tw.storage.tier import LocalTier
from gorego_tw.storage.unreadable import MayPass
from gorego_tw.storage.verified_files import VerifiedFiles

#: What is hashed where it is, in bytes: a thread would take longer to be told.
_AT_ONCE_BYTES = 16_384


class _Untouched(Inventory):
    """Takes note of damage, and leaves it where it is.

    :ivar damage: what was found last, if it was.
    """

    damage: str | None = None

    def drop(self, key: bytes, damage: str) -> bool:
        """Note it."""
        self.damage = damage
        return False


class Inspection:
    """The blobs of a tier, read in the way in which clients read them.

    :param tier: is left as it is.
    :param may_pass: asked of a file that the disk cannot read; it is told as damaged, unless that may pass.
    """

    def __init__(self, tier: LocalTier, may_pass: MayPass = lambda *_: False) -> None:
        self._index = tier.index
        # Nobody ever writes these uses down.
        self._uses = LastUse(tier.index, tier.clock)
        # What is read here for once does not take the place of what clients read.
        verified = VerifiedFiles(tier.clock, most_bytes=0)
        self._inventory = _Untouched(tier.index, tier.files, self._uses, tier.space, verified)
        self._blobs = LocalBlobs(
            self._inventory,
            files=tier.files,
            space=tier.space,
            last_use=self._uses,
            threads=tier.threads,
            verified=verified,
            may_pass=may_pass,
            clock=tier.clock,
        )
        self._tell = tier.inventory.leave
        self._run = tier.threads.run

    async def open(self, digest: Digest) -> IBlobBody:
        """A blob that was listed; its size is another one where that was a guess.

        :raises NotFound: it is absent.
        :raises DataLoss: it is damaged.
        """
        self._inventory.damage = None
        try:
            return await self._blobs.get(digest)
        except NotFound as error:
            if error.reason == "corrupt" or self._inventory.damage:
                raise DataLoss(f"blob {digest}: {self._inventory.damage}") from None
            record = self._inventory.record(digest.key)
            if record is None or not record.stamp or record.size_bytes == digest.size_bytes:
                raise
            return await self._blobs.get(digest._replace(size_bytes=record.size_bytes))
        finally:
            self._uses.forget(digest.key)

    def tell(self, digest: Digest, damage: str) -> None:
        """Let damage of the blob that was opened last be counted, and told in the log.

        :param damage: what it is, if nothing more exact was found.
        """
        self._tell(digest.key, self._inventory.damage or damage)

    async def hash(self, hasher: Hasher, piece: bytes | memoryview) -> None:
        """Take a piece of a blob in."""
        if len(piece) <= _AT_ONCE_BYTES:
            hasher.update(piece)
        else:
            await self._run(hasher.update, piece)

    async def damage(
        self, digest: Digest, was_read: Callable[[int], Awaitable[object]]
    ) -> str | None:
        """What is wrong with a blob that was listed, None if nothing is or if it has gone by now.

        :param was_read: is told of each piece how many bytes it has; the next is read afterwards.
        """
        hasher, size = digest.function.hasher(), 0
        try:
            body = await self.open(digest)
            size_bytes = body.size_bytes
            async with closing(body.chunks()) as pieces:
                async for piece in pieces:
                    await self.hash(hasher, piece)
                    size += len(piece)
                    await was_read(len(piece))
        except NotFound:
            return None
        except DataLoss as error:
            return self._inventory.damage or error.message
        if size != size_bytes:
            return f"{size} bytes"
        return None if hasher.digest() == digest.key[1:] else "wrong hash"
