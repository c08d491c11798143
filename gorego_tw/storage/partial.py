"""One blob that arrives piece by piece, whoever sends it."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import suppress
from typing import Self

from gorego_tw.digest import Digest
from gorego_tw.errors import StatusError
from gorego_tw.storage.blob_writer import BlobWriter
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.inventory import Inventory
from gorego_tw.storage.records import INLINE_LIMIT, disk_bytes
from gorego_tw.storage.space import Space
from gorego_tw.telemetry.lock import RecordedLock


class Partial:
    """What has arrived so far, in memory and in a file, with room reserved for all of it.

    It is active, and among those in ``active``, until it is stored, kept or dropped.

    :param name: of its file in the folder of uploads.
    :ivar holder: who may go on with it.
    :ivar lock: held while anything is done to it.
    :raises ResourceExhausted: no room for the blob.
    """

    def __init__(
        self,
        name: str,
        digest: Digest,
        *,
        active: MutableMapping[str, Self],
        inventory: Inventory,
        files: BlobFiles,
        space: Space,
        threads: DiskThreads,
    ) -> None:
        self.digest = digest
        self.holder: object = None
        self.lock = RecordedLock()
        self._name = name
        self._active = active
        self._inventory = inventory
        self._files = files
        self._space = space
        self._path = files.partial(name)
        self._found = files.partial_size(name)
        # What is there already is part of what there has to be room for.
        self._count_file(-1, self._found)
        try:
            self._reservation = space.reserve(digest.size_bytes)
        except BaseException:
            self._count_file(1, self._found)
            raise
        self._writer = BlobWriter(digest, self._path, threads)
        active[name] = self

    @property
    def active(self) -> bool:
        """Whether it is neither stored nor kept nor dropped."""
        return self._active.get(self._name) is self

    @property
    def size_bytes(self) -> int:
        """How many bytes are held."""
        return self._writer.size_bytes

    async def secure(self) -> int:
        """How many bytes are held, in the file: a count that a client was told never shrinks, not even
        by a crash (bytestream.proto, QueryWriteStatus).

        A blob for the index has no file before it is interrupted; it is a message or two.
        """
        if self.digest.size_bytes <= INLINE_LIMIT:
            return self._writer.size_bytes
        with suppress(StatusError):  # a full disk: what was written before it was full counts
            await self._writer.flush()
        return self._writer.written_bytes

    async def resume(self) -> None:
        """Take up what an earlier time left."""
        if self._found is not None:
            await self._writer.resume()

    async def append(self, data: bytes | memoryview) -> None:
        """Take the next bytes, as :meth:`BlobWriter.append`."""
        await self._writer.append(data)

    async def store(self) -> None:
        """Verify the blob and make it visible.

        :raises DigestMismatch: it has not the digest.
        :raises ResourceExhausted: the disk is full.
        """
        writer = self._writer
        await self._space.keep_pace()
        if self.digest.size_bytes <= INLINE_LIMIT:
            data = writer.verified_bytes()
            if not self._inventory.holds(self.digest):
                self._inventory.add_inline(self.digest, data)
        else:
            await writer.finish(to_stable_storage=self._inventory.is_replaced(self.digest))
            self._inventory.add_file(self.digest, self._path, writer.sums.digest())
        self.drop()

    async def keep(self) -> None:
        """Leave it for a later time. What the disk has no room for is lost."""
        if not self.active:
            return
        try:
            with suppress(StatusError):
                await self._writer.flush()
        finally:
            self._end()
            size = self._files.partial_size(self._name)
            if size:
                self._count_file(1, size)
            else:
                self._delete()

    def drop(self) -> None:
        """Forget it; nothing if that was done before."""
        if self.active:
            self._end()
            self._delete()

    def _end(self) -> None:
        self.holder = None
        self._writer.close()
        self._reservation.release()
        del self._active[self._name]

    def _delete(self) -> None:
        try:
            self._files.delete(self._path)
        except OSError:  # deleted a day later, and counted until then
            with suppress(OSError):
                self._count_file(1, self._files.partial_size(self._name))

    def _count_file(self, sign: int, size: int | None) -> None:
        self._space.partial_bytes += sign * disk_bytes(size or 0)
