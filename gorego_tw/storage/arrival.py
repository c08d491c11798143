"""A blob that comes from elsewhere and is read while it comes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, DigestMismatch, ResourceExhausted, StatusError
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage.arriving_body import ArrivingBody
from gorego_tw.storage.blob_writer import BlobWriter, check_size
from gorego_tw.storage.block_sums import SUMMED_BYTES
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.failures import telling
from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.inventory import Inventory
from gorego_tw.storage.reading import read_all, read_now
from gorego_tw.storage.records import INLINE_LIMIT
from gorego_tw.storage.space import Space
from gorego_tw.storage.tail import Tail
from gorego_tw.waiting_line import WaitingLine

#: How much may be in memory that is not in the file yet, in bytes: segments that are being written,
#: and those that fill up meanwhile. Beyond that the sender has to wait. It is what TAIL_BYTES keeps anyway;
#: with half of it a sender of 400 MB/s waits a tenth of the time for the way to the thread and back.
MOST_UNWRITTEN_BYTES = 2 * 1024 * 1024


class Arrival:
    """One blob on its way in. One sender appends, one call at a time, and ends with ``finish`` and
    ``complete``, or with ``abandon``; any number of readers read meanwhile.

    No reader gets the last piece before all is verified, so none ends with wrong bytes.

    :raises ResourceExhausted: no room for the blob.
    """

    def __init__(
        self,
        digest: Digest,
        *,
        inventory: Inventory,
        files: BlobFiles,
        space: Space,
        threads: DiskThreads,
        clock: IReactorTime,
    ) -> None:
        self.digest = digest
        self._inventory = inventory
        self._files = files
        self._space = space
        self._threads = threads
        self._reservation = space.reserve(digest.size_bytes)
        self._path = files.temporary()
        self._writer = BlobWriter(digest, self._path, threads)
        self._tail = Tail(digest.size_bytes)
        self._line = WaitingLine(clock)
        self._readers = 0
        self._readable = 0
        self._failure: Exception | None = None  # what readers are told
        self._trouble: Exception | None = None  # what the sender is told
        self._ended = False
        self._writing = False
        self._progress: Deferred[None] | None = None  # the sender waits for the disk

    @property
    def readers(self) -> int:
        """How many bodies have neither been read to their end nor let go of."""
        return self._readers

    def room(self) -> memoryview:
        """Memory for the next bytes, a byte at least; at the end of the blob for more than it may have.

        ``append`` takes what was put at its beginning as it is.
        """
        return self._tail.room() or memoryview(bytearray(1))

    async def append(self, data: bytes | memoryview) -> None:
        """Take the next bytes. Waits only if the disk is MOST_UNWRITTEN_BYTES behind.

        :raises DigestMismatch: they are more than the digest announces.
        :raises ResourceExhausted: the disk is full.
        """
        size = self._tail.size_bytes + len(data)
        self._raise_trouble(size)
        if size > self.digest.size_bytes:
            raise DigestMismatch(f"blob {self.digest}: the data has {size} bytes or more")
        self._tail.append(data)
        if size == self.digest.size_bytes:
            return
        self._begin_to_write()
        self._show(size)
        while self._writing and size - self._writer.written_bytes > MOST_UNWRITTEN_BYTES:
            await self._wait_for_disk()

    async def finish(self) -> bool:
        """Verify the blob and make it visible in the store, which may have to wait for the disk as all writes do.
        Readers are told by ``complete``.

        :returns: whether it is kept. Where there is no room for it that is no matter to readers, who have
            it from memory, or from the file as long as they read.
        :raises DigestMismatch: it has not the digest.
        :raises ResourceExhausted: the disk is full, and more waits for it than memory has room for.
        """
        while self._writing:
            await self._wait_for_disk()
        self._raise_trouble(self._tail.size_bytes)
        check_size(self.digest, self._tail.size_bytes)
        writer = self._writer
        while writer.size_bytes < self.digest.size_bytes:
            rest = self._tail.piece(writer.size_bytes, self.digest.size_bytes)
            assert rest is not None  # what is not written is held
            with suppress(ResourceExhausted):  # in memory; it is tried once more at the end
                await writer.append(rest)
        await self._space.keep_pace()
        if self.digest.size_bytes > INLINE_LIMIT:
            kept = await self._finish_file()
        else:
            kept = self._finish_inline()
        if not kept:
            self._delete()
        return kept

    async def _finish_file(self) -> bool:
        writer = self._writer
        try:
            await writer.finish(to_stable_storage=self._inventory.is_replaced(self.digest))
        except ResourceExhausted:
            writer.check()  # what is not in the file is in memory
            return False
        with suppress(StatusError), telling():
            self._inventory.add_file(self.digest, self._path, writer.sums.digest())
            return True
        return False

    def _finish_inline(self) -> bool:
        data = self._writer.verified_bytes()
        with suppress(StatusError):
            if not self._inventory.holds(self.digest):
                self._inventory.add_inline(self.digest, data)
            return True
        return False

    def complete(self) -> None:
        """Let the readers have the last piece of the blob, which is finished."""
        self._end()
        self._show(self.digest.size_bytes)

    async def abandon(self, failure: Exception) -> None:
        """Keep nothing, and tell the readers why: at once, before the disk is done with it."""
        self._failure = failure
        self._line.call()
        while self._writing:
            await self._wait_for_disk()
        self._delete()
        self._end()

    def body(self, left: Callable[[], object] = bool) -> IBlobBody:
        """The blob for one more reader; not after ``complete``, when the store has it.

        :param left: called once, when the reader is done with it.
        """
        self._readers += 1
        return ArrivingBody(self, self.digest.size_bytes, lambda: self._reader_left(left))

    async def read(self, offset: int, memory: Callable[[], memoryview]) -> memoryview:
        """What is there from ``offset`` on, as :class:`gorego_tw.storage.arriving_body.Source` says.

        :raises Exception: what the blob was abandoned with.
        """
        while self._failure is None and offset >= self._readable:
            await self._line.join()
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        piece = self._tail.piece(offset, self._readable)
        return await self._read_file(offset, memory()) if piece is None else piece

    async def _read_file(self, offset: int, memory: memoryview) -> memoryview:
        """Read blocks that are in the file whole, as all are that the tail has not, and compare them."""
        fd, written = self._writer.fd, self._writer.written_bytes
        start = offset - offset % SUMMED_BYTES
        into = memory[: written - written % SUMMED_BYTES - start]
        with telling():
            count = read_now(fd, into, start) or 0
            if count < len(into):
                count += await self._threads.run(read_all, fd, into[count:], start + count)
        if count < len(into) or not self._writer.sums.are_of(into, start):
            raise DataLoss("local tier: the blob was damaged while it arrived")
        # While the blob is verified, the file has more than readers may have.
        return into[offset - start : self._readable - start]

    def _delete(self) -> None:
        with suppress(OSError):  # deleted at the next start
            self._files.delete(self._path)

    def _show(self, readable: int) -> None:
        self._readable = readable
        self._line.call()

    def _begin_to_write(self) -> None:
        if not self._writing and self._tail.full_pieces(self._writer.size_bytes):
            self._writing = True
            Deferred.fromCoroutine(self._write_segments())

    async def _write_segments(self) -> None:
        """Write what is full. Nobody cancels this, and nobody but the sender is told how it ends."""
        writer, tail = self._writer, self._tail
        try:
            while self._failure is None and (pieces := tail.full_pieces(writer.size_bytes)):
                await writer.append_all(pieces)
                tail.trim(writer.written_bytes)
                self._tell_sender()
        except Exception as error:  # whatever it is, append or finish raises it
            self._trouble = error
        self._writing = False
        self._tell_sender()

    def _wait_for_disk(self) -> Deferred[None]:
        self._progress = Deferred()
        return self._progress

    def _tell_sender(self) -> None:
        progress, self._progress = self._progress, None
        if progress is not None and not progress.called:
            progress.callback(None)

    def _raise_trouble(self, size_bytes: int) -> None:
        """Fail as a write has, unless that was for want of room and there is room in memory for some more."""
        trouble, self._trouble = self._trouble, None
        is_full = isinstance(trouble, ResourceExhausted)
        fits = size_bytes - self._writer.written_bytes <= MOST_UNWRITTEN_BYTES
        if trouble is not None and not (is_full and fits):
            self._trouble = trouble
            raise trouble

    def _reader_left(self, left: Callable[[], object]) -> None:
        self._readers -= 1
        self._close_if_done()
        left()

    def _end(self) -> None:
        self._ended = True
        self._reservation.release()
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._ended and not self._readers:
            self._writer.close()


class Arrivals:
    """Blobs that come into the local tier from elsewhere."""

    def __init__(
        self,
        inventory: Inventory,
        *,
        files: BlobFiles,
        space: Space,
        threads: DiskThreads,
        clock: IReactorTime,
    ) -> None:
        self._inventory = inventory
        self._files = files
        self._space = space
        self._threads = threads
        self._clock = clock

    def open(self, digest: Digest) -> Arrival:
        """Begin to take a blob in.

        :raises ResourceExhausted: no room for it.
        """
        return Arrival(
            digest,
            inventory=self._inventory,
            files=self._files,
            space=self._space,
            threads=self._threads,
            clock=self._clock,
        )
