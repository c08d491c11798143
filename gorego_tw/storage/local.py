"""The two stores of the local tier."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from os import stat_result
from stat import S_ISREG

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from gorego_tw.body import BytesBody
from gorego_tw.concurrency import closing
from gorego_tw.digest import Digest, digest_of
from gorego_tw.errors import NotFound, Reason, StatusError, Unavailable
from gorego_tw.interfaces import (
    ActionKey,
    IActionResults,
    IBlobAccess,
    IBlobBody,
    StoredActionResult,
)
from gorego_tw.storage.blob_writer import BlobWriter, check_size, verified
from gorego_tw.storage.closing import close
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.failures import NOT_OURS, status_of
from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.index import Index
from gorego_tw.storage.inventory import Inventory
from gorego_tw.storage.last_use import LastUse
from gorego_tw.storage.records import (
    ACTIONS,
    INLINE_LIMIT,
    BlobRecord,
    DamagedRecord,
    disk_bytes,
    pack_action,
    renewed,
    unpack_action,
)
from gorego_tw.storage.space import Space
from gorego_tw.storage.stored_file import DamagedFile, Found, Verification, body_of
from gorego_tw.storage.unreadable import MayPass
from gorego_tw.storage.verified_files import VerifiedFiles, version_of
from gorego_tw.waiting_line import WaitingLine

#: Without O_NONBLOCK, a pipe that somebody put in the place of a blob would stop the reactor.
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK

#: For so many blobs a thread looks whether their files are there, before it is somebody else's turn: half a
#: second, where each takes a cold disk 2 ms.
LOOKED_AT_ONCE = 256

#: So many blobs are looked for in the index before it is somebody else's turn: some 5 ms, of the 100 that the most
#: that fit into a message take.
ASKED_AT_ONCE = 2048

_ACTIONS_PREFIX = bytes([ACTIONS])


def action_key(key: ActionKey) -> bytes:
    """The key of an action result in the index: a hash, whatever the instance name's length."""
    instance_name, (action, size_bytes) = key
    # A digest's first byte says how long it is, so no two names make the same bytes.
    name = (
        action + size_bytes.to_bytes(8, "little") + instance_name.encode("utf-8", "surrogatepass")
    )
    return _ACTIONS_PREFIX + sha256(name).digest()


@implementer(IBlobAccess)
class LocalBlobs:
    """Blobs on this machine: small ones in the index, others in files.

    :param may_pass: asked of a file that the disk cannot read; if so it is no damage yet.
    """

    def __init__(
        self,
        inventory: Inventory,
        *,
        files: BlobFiles,
        space: Space,
        last_use: LastUse,
        threads: DiskThreads,
        verified: VerifiedFiles,
        may_pass: MayPass,
        clock: IReactorTime,
    ) -> None:
        self._inventory = inventory
        self._verified = verified
        self._may_pass = may_pass
        self._files = files
        self._space = space
        self._last_use = last_use
        self._touch = last_use.touch
        self._threads = threads
        self._clock = clock
        self._hashed: dict[bytes, WaitingLine] = {}  # now, and who waits for that

    async def get(self, digest: Digest) -> IBlobBody:
        """The blob; at once, unless its file was touched by somebody else.

        What turns out damaged is dropped, and absent.
        """
        while (line := self._hashed.get(digest.key)) is not None:
            await line.join()
        found = self._inventory.find(digest)
        if found is None:
            raise _absent(digest)
        record, data = found
        body = await self._open(digest, record) if data is None else self._inline(digest, data)
        self._touch(digest.key)
        return body

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """Keep the blob if it has the digest; what is there already stays as it is."""
        try:
            check_size(digest, body.size_bytes)
            await self._space.keep_pace()
            if not self._inventory.holds(digest):
                await self._space.room(digest.size_bytes)
        except BaseException:
            body.discard()
            raise
        if digest.size_bytes <= INLINE_LIMIT:
            self._put_inline(digest, verified(digest, await body.read_all()))
        elif self._inventory.holds(digest):
            self._touch(digest.key)
            await self._write(digest, body, None)
            if not self._inventory.holds(digest):
                raise Unavailable(
                    f"local tier: blob {digest} went while it came again; send it again"
                )
        else:
            await self._put_file(digest, body)

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """Those that are absent by the index; only files that may be gone are looked at."""
        doubted = self._inventory.doubted(key for key, _ in digests)
        for start in range(0, len(doubted), LOOKED_AT_ONCE):
            keys = doubted[start : start + LOOKED_AT_ONCE]
            self._inventory.drop_lost(await self._threads.run(self._inventory.lost, keys))
        if len(digests) <= ASKED_AT_ONCE:
            return self._inventory.missing(digests)
        rest = iter(digests)
        missing: list[Digest] = []
        while some := list(islice(rest, ASKED_AT_ONCE)):
            missing += self._inventory.missing(some)
            await deferLater(self._clock, 0)
        return list(dict.fromkeys(missing))

    def _inline(self, digest: Digest, data: bytes) -> IBlobBody:
        if digest_of(data, digest.function).key != digest.key:
            self._inventory.drop(digest.key, "wrong hash in the index")
            raise _absent(digest, "corrupt")
        return BytesBody(data)

    async def _open(self, digest: Digest, record: BlobRecord) -> IBlobBody:
        try:
            fd = os.open(self._files.path(digest.key), _READ_FLAGS)
        except OSError as error:
            if error.errno in NOT_OURS or self._may_pass(digest, record, error):
                raise status_of(error) from error
            raise self._damaged(digest, record, error) from error
        found = os.fstat(fd)
        if self._is_to_be_hashed(digest, record, found):
            line = self._hashed[digest.key] = WaitingLine(self._clock)
            try:
                record = await self._verify(digest, record, fd, found)
            except BaseException:
                close(fd)
                raise
            finally:
                del self._hashed[digest.key]
                line.call()
        return body_of(
            fd,
            record,
            digest=digest,
            threads=self._threads,
            damaged=self._dropper(digest, record),
            may_pass=lambda error: self._may_pass(digest, record, error),
            verified=self._verified,
        )

    def _is_to_be_hashed(self, digest: Digest, record: BlobRecord, found: stat_result) -> bool:
        """Whether somebody has touched a file, or it is in doubt and was not hashed since."""
        if not record.is_of(found):
            return True
        if not self._inventory.is_doubted(record):
            return False
        return self._verified.sums(version_of(digest.key, record)) is None

    async def _verify(
        self, digest: Digest, record: BlobRecord, fd: int, found: stat_result
    ) -> BlobRecord:
        """Hash such a file before any of it is given out."""
        if not S_ISREG(found.st_mode):
            raise self._damaged(digest, record, "no file")
        try:
            right, sums = await self._hash(digest, record, fd)
        except (OSError, DamagedFile) as error:
            if isinstance(error, OSError) and self._may_pass(digest, record, error):
                raise status_of(error) from error
            raise self._damaged(digest, record, error) from error
        self._verified.put(version_of(digest.key, right), sums)
        if self._is_current(digest, record):
            with suppress(StatusError):  # on a full disk it is hashed again the next time
                self._inventory.restamp(digest.key, right)
        if right.size_bytes != digest.size_bytes:  # it was a guess that it might be this one
            raise _absent(digest)
        return right

    async def _hash(self, digest: Digest, record: BlobRecord, fd: int) -> Found:
        if self._inventory.is_doubted(record):
            # What is in memory may be other than what is on the disk. What was not written yet is on its way first.
            await self._threads.run(os.posix_fadvise, fd, 0, 0, os.POSIX_FADV_DONTNEED)
        verification = Verification(fd, digest, record)
        while (found := await self._threads.run(verification.go_on)) is None:
            pass
        return found

    def _is_current(self, digest: Digest, record: BlobRecord) -> bool:
        """Whether the entry is still the one that was found, and no later one."""
        now = self._inventory.find(digest)
        return now is not None and now[0].stamp == record.stamp

    def _damaged(self, digest: Digest, record: BlobRecord, damage: object) -> NotFound:
        if self._is_current(digest, record):
            self._inventory.drop(digest.key, str(damage))
        return _absent(digest, "corrupt")

    def _dropper(self, digest: Digest, record: BlobRecord) -> Callable[[str], object]:
        return lambda damage: self._damaged(digest, record, damage)

    def _put_inline(self, digest: Digest, data: bytes) -> None:
        if self._inventory.holds(digest):
            self._touch(digest.key)
            return
        self._space.check(disk_bytes(digest.size_bytes))
        self._inventory.add_inline(digest, data)

    async def _put_file(self, digest: Digest, body: IBlobBody) -> None:
        try:
            reservation = self._space.reserve(digest.size_bytes)
        except StatusError:
            body.discard()
            raise
        path = self._files.temporary()
        with reservation:
            try:
                sums = await self._write(digest, body, path)
                self._inventory.add_file(digest, path, sums)
            finally:
                with suppress(OSError):  # deleted at the next start
                    self._files.delete(path)

    async def _write(self, digest: Digest, body: IBlobBody, path: str | None) -> bytes:
        """Verify a body, and keep it in a file if there is a path for one.

        :returns: its checksums.
        """
        writer = BlobWriter(digest, path, self._threads)
        try:
            async with closing(body.chunks()) as pieces:
                async for piece in pieces:
                    await writer.append(piece)
            is_replaced = path is not None and self._inventory.is_replaced(digest)
            await writer.finish(to_stable_storage=is_replaced)
            return writer.sums.digest()
        finally:
            writer.close()


@implementer(IActionResults)
class LocalActionResults:
    """Action results on this machine, in the index."""

    def __init__(self, index: Index, inventory: Inventory, space: Space, last_use: LastUse) -> None:
        self._index = index
        self._inventory = inventory
        self._space = space
        self._last_use = last_use

    async def get(self, key: ActionKey) -> StoredActionResult:
        """The action result. One that is damaged is dropped, and absent."""
        packed_key = action_key(key)
        value = self._index.action(packed_key)
        if value is None:
            raise _no_result(key)
        try:
            result = unpack_action(value)
        except DamagedRecord as error:
            self._inventory.drop(packed_key, str(error))
            raise _no_result(key, "corrupt") from None
        self._last_use.touch(packed_key)
        return result

    async def put(self, key: ActionKey, result: StoredActionResult) -> None:
        """Keep the action result, in place of an earlier one."""
        await self._space.keep_pace()
        packed_key = action_key(key)
        value = pack_action(result, self._last_use.now)
        await self._space.room(len(value))
        self._space.check(disk_bytes(len(value)))
        with self._index.write() as txn:
            now = self._last_use.written(packed_key, len(value))
            txn.put_action(packed_key, renewed(value, now))


def _absent(digest: Digest, reason: Reason = "absent") -> NotFound:
    return NotFound(f"local tier: no blob {digest}", reason=reason)


def _no_result(key: ActionKey, reason: Reason = "absent") -> NotFound:
    return NotFound(f"local tier: no result of the action {key.action}", reason=reason)
