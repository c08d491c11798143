"""Uploads that can be gone on with: by name, across connections and restarts."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from os import stat_result
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime
from txaio.tx import make_logger
from zope.interface import implementer

from gorego_tw.digest import Digest
from gorego_tw.errors import Aborted, DigestMismatch
from gorego_tw.interfaces import IUpload, IUploads
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.failures import telling
from gorego_tw.storage.files import TEMPORARY, BlobFiles
from gorego_tw.storage.inventory import Inventory
from gorego_tw.storage.partial import Partial
from gorego_tw.storage.records import disk_bytes
from gorego_tw.storage.space import Space

#: How long a partial blob is kept that nobody goes on with, in seconds.
ABANDONED_SECONDS = 86400

#: So long at least, while there is too much: a client that lost its connection is back by then, in seconds.
RESUMED_SECONDS = 600

#: If they take more than that part of the limit together, those go, too, that nobody went on with, or asked for,
#: for so many seconds.
PARTIAL_SHARE = 16
ASKED_SECONDS = 10

#: Blobs of so many bytes and less wait for eviction where there is no room; larger ones are refused at once.
#: What a client has sent meanwhile takes the window of its connection: of large ones all of it, and whatever else it
#: asks there would wait, too.
WAITING_BYTES = 64 << 10


class _Idle(NamedTuple):
    """An upload that nobody goes on with, since when, in seconds since the epoch, and what it was then."""

    since: float
    name: str
    status: stat_result


@implementer(IUpload)
class Upload:
    """The right to go on with a partial blob, until somebody else opens it."""

    def __init__(self, partial: Partial) -> None:
        self._partial = partial

    @property
    def committed_size(self) -> int:
        """How many bytes are held, in bytes; the next write starts there."""
        return self._partial.size_bytes

    async def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        partial = self._partial
        async with partial.lock:
            self._check()
            try:
                await partial.append(data)
            except DigestMismatch:
                partial.drop()
                raise

    async def commit(self) -> None:
        """Verify size and hash, then make the blob visible in the store.

        What cannot be stored for now is kept for a later call.
        """
        partial = self._partial
        async with partial.lock:
            self._check()
            try:
                with telling():
                    await partial.store()
            except DigestMismatch:
                partial.drop()
                raise
            except BaseException:
                await partial.keep()
                raise

    async def suspend(self) -> None:
        """Keep what was written for a later call; nothing if another call took over."""
        async with self._partial.lock:
            if self._partial.holder is self:
                await self._partial.keep()

    async def abandon(self) -> None:
        """Drop what was written; nothing if another call took over."""
        async with self._partial.lock:
            if self._partial.holder is self:
                self._partial.drop()

    def _check(self) -> None:
        if self._partial.holder is not self:
            raise Aborted("local tier: another call goes on with this upload")


@implementer(IUploads)
class Uploads:
    """The partial blobs of the local tier.

    As many are active as there are calls, which the transport bounds. Each holds up to
    WRITE_CHUNK bytes and one message in memory.

    :ivar abandoned: how many were deleted because nobody went on with them.
    """

    _log = make_logger()

    def __init__(
        self,
        inventory: Inventory,
        *,
        files: BlobFiles,
        space: Space,
        threads: DiskThreads,
        clock: IReactorTime,
    ) -> None:
        self.abandoned = 0
        self._inventory = inventory
        self._files = files
        self._space = space
        self._threads = threads
        self._clock = clock
        self._active: dict[str, Partial] = {}

    async def open(self, name: str, digest: Digest) -> IUpload:
        """The upload of that name, with what an earlier call left; a call that has it loses it."""
        file_name = _file_name(name)
        if digest.size_bytes <= WAITING_BYTES and file_name not in self._active:
            await self._space.room(digest.size_bytes)
        while (partial := self._active.get(file_name)) is not None:
            async with partial.lock:
                if partial.active and partial.digest == digest:
                    return _upload(partial)
                partial.drop()
        with telling():
            return await self._start(file_name, digest)

    async def committed_size(self, name: str) -> int:
        """How many bytes an upload of that name holds, in bytes; 0 for one never heard of."""
        file_name = _file_name(name)
        partial = self._active.get(file_name)
        if partial is not None:
            async with partial.lock:
                if partial.active:
                    return await partial.secure()
        with telling():
            size = self._files.partial_size(file_name)
            if size:
                with suppress(OSError):  # where nothing can be written it can be told all the same
                    self._files.touch_partial(file_name)
            return size or 0

    async def is_needless(self, digest: Digest) -> bool:
        """Whether the blob is here already, as far as can be told without reading it. It is used then."""
        return self._inventory.holds(digest) and not self._inventory.missing((digest,))

    def restore(self, *, whole: bool = True) -> None:
        """Count what an earlier process left; delete what no later call asks for.

        What the disk does not let be deleted stays there: it is of no use, and no reason not to start.

        :param whole: whether what was written is there; else all of it is deleted.
        """
        try:
            for name, status in self._files.arriving():
                is_temporary = name.startswith(TEMPORARY)
                is_gone = (is_temporary or not whole) and self._try_to_delete(name)
                if not is_gone and not is_temporary:
                    self._space.partial_bytes += disk_bytes(status.st_size)
        except OSError as error:
            self._log.warn("the folder of uploads cannot be read: {error}", error=error)

    async def drop_abandoned(self) -> None:
        """Delete what nobody went on with for ABANDONED_SECONDS.

        :raises OSError: the folder cannot be read.
        """
        before = self._clock.seconds() - ABANDONED_SECONDS
        for upload in await self._idle():
            if upload.since < before:
                self._forget(upload)

    async def make_room(self) -> None:
        """Delete, as long as there is too much, what hardly anybody will go on with: before anything goes that is
        whole.

        :raises OSError: the folder cannot be read.
        """
        space = self._space
        now = self._clock.seconds()
        for upload in await self._idle() if space.partial_bytes else ():
            is_crowded = space.partial_bytes > space.limit_bytes // PARTIAL_SHARE
            kept_seconds = ASKED_SECONDS if is_crowded else RESUMED_SECONDS
            if space.evictable_bytes <= 0 or upload.since > now - kept_seconds:
                break
            self._forget(upload)

    async def close(self) -> None:
        """Keep what is active for a later process."""
        for partial in list(self._active.values()):
            async with partial.lock:
                await partial.keep()

    async def _idle(self) -> list[_Idle]:
        """Those that nobody goes on with, oldest first."""
        found = await self._threads.run(self._files.arriving)
        return sorted(
            _Idle(status.st_mtime, name, status)
            for name, status in found
            if not name.startswith(TEMPORARY) and name not in self._active
        )

    def _forget(self, upload: _Idle) -> None:
        with suppress(OSError):  # it is tried again
            # While a thread listed them, a client may have gone on with it, or ended it.
            if self._files.is_partial_still(upload.name, upload.status):
                self._files.delete(self._files.partial(upload.name))
                self._space.partial_bytes -= disk_bytes(upload.status.st_size)
                self.abandoned += 1

    def _try_to_delete(self, name: str) -> bool:
        try:
            self._files.delete(self._files.partial(name))
        except OSError as error:
            self._log.warn("what was left of an upload cannot be deleted: {error}", error=error)
            return False
        return True

    async def _start(self, file_name: str, digest: Digest) -> IUpload:
        partial = Partial(
            file_name,
            digest,
            active=self._active,
            inventory=self._inventory,
            files=self._files,
            space=self._space,
            threads=self._threads,
        )
        async with partial.lock:
            try:
                await partial.resume()
            except BaseException:
                await partial.keep()
                raise
        return _upload(partial)


def _upload(partial: Partial) -> IUpload:
    upload = Upload(partial)
    partial.holder = upload
    return upload


def _file_name(name: str) -> str:
    """The name of the file: whatever the client chose, it stays in its folder."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
