"""The frames of a compressed file, on their way out: expanded, and compared with the digest, when they are read
for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gorego_tw.digest import Digest
from gorego_tw.storage.checked_body import CheckedBody
from gorego_tw.storage.content import Content
from gorego_tw.storage.disk_threads import DiskThreads
from gorego_tw.storage.reading import read_all
from gorego_tw.storage.verified_files import FileVersion, VerifiedFiles
from gorego_tw.zstd.seekable import Frame, FrameDecompressor, FrameTable, table_bytes


class CheckedFrames(CheckedBody):
    """An open file with the frames of a blob in it, and their table, read as it is.

    It is compared as a file that is the blob itself. If that finds frames, or a table, that cannot be
    expanded, ``read`` raises DamagedFrames.

    :param file_bytes: how long the file is.
    """

    __slots__ = ("_hasher",)

    def __init__(
        self,
        fd: int,
        digest: Digest,
        file_bytes: int,
        *,
        version: FileVersion,
        threads: DiskThreads,
        damaged: Callable[[str], object],
        may_pass: Callable[[OSError], bool],
        verified: VerifiedFiles,
    ) -> None:
        super().__init__(
            fd,
            digest,
            version=version,
            threads=threads,
            damaged=damaged,
            may_pass=may_pass,
            verified=verified,
        )
        self.size_bytes = file_bytes
        self._hasher: _FrameHasher | None = None

    def expanded(self, frame: Frame) -> bytes | None:
        """What the frame was expanded to when it was read, if it was to be compared."""
        return None if self._hasher is None else self._hasher.expanded(frame)

    def _new_content(self) -> Content:
        self._hasher = _FrameHasher(self._fd, self._digest, self.size_bytes)
        length = self.size_bytes - table_bytes(self._digest.size_bytes)
        return Content(self._fd, self._digest, length, self._hasher)

    def _sums_of(self, content: Content) -> bytes:
        assert self._hasher is not None
        return content.sums(self._hasher.table)


class _FrameHasher:
    """Takes frames in, in pieces of any size, and makes the hash of what they expand to.

    The table is read when the first piece comes, in its thread.

    :ivar table: it, packed.
    """

    def __init__(self, fd: int, digest: Digest, file_bytes: int) -> None:
        self.table = bytearray()
        self._fd = fd
        self._size_bytes = digest.size_bytes
        self._file_bytes = file_bytes
        self._hasher = digest.function.hasher()
        self._decompressor = FrameDecompressor()
        self._frames: Iterator[Frame] | None = None
        self._next: Frame | None = None
        self._begun = bytearray()
        self._last: tuple[Frame, bytes] | None = None

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take the next piece in.

        :raises DamagedFrames: a frame that ends in it, or the table, is damaged.
        """
        if self._frames is None:
            self._frames = self._table().frames()
            self._next = next(self._frames)
        self._begun += data
        while self._next is not None and len(self._begun) >= self._next.end - self._next.start:
            self._take(self._next)
            self._next = next(self._frames, None)

    def digest(self) -> bytes:
        """The hash of all frames that came."""
        return self._hasher.digest()

    def expanded(self, frame: Frame) -> bytes | None:
        """What the frame expands to, if it was the last."""
        return self._last[1] if self._last is not None and self._last[0] == frame else None

    def _take(self, frame: Frame) -> None:
        length = frame.end - frame.start
        data = self._decompressor.expand(self._begun[:length], frame.size_bytes)
        del self._begun[:length]
        self._hasher.update(data)
        self._last = (frame, data)

    def _table(self) -> FrameTable:
        length = table_bytes(self._size_bytes)
        self.table = bytearray(length)
        read_all(self._fd, memoryview(self.table), self._file_bytes - length)
        return FrameTable(self.table, self._size_bytes, self._file_bytes)
