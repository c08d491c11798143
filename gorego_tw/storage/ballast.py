"""Room on the disk that is kept for making room.

What is evicted is first taken out of the index, which LMDB writes to new pages. On a disk that others have
filled up to the last byte it could not, so nothing would ever be evicted.
"""

from __future__ import annotations

import os
from pathlib import Path

#: An eviction of 64 entries writes up to 200 pages; then there is what these took.
MOST_BYTES = 16 << 20
#: It is a part of what is left free for others anyway.
_RESERVE_SHARE = 4


class Ballast:
    """A file that is thrown away when nothing else helps, and made again when there is room.

    :param path: of the file.
    :param free_reserve_bytes: how much of the file system is left free, in bytes.
    """

    def __init__(self, path: Path, free_reserve_bytes: int) -> None:
        self._path = path
        self.size_bytes = min(MOST_BYTES, free_reserve_bytes // _RESERVE_SHARE)
        self.held = path.exists()

    def take(self) -> None:
        """Make the file, if it is not there. It takes long; any thread may.

        :raises OSError: there is no room for it.
        """
        if self.held or not self.size_bytes:
            return
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(fd, 0, self.size_bytes)
        except OSError:
            self._path.unlink()
            raise
        finally:
            os.close(fd)
        self.held = True

    def throw(self) -> bool:
        """Throw it away.

        :returns: whether that has helped.
        :raises OSError: it cannot be.
        """
        if not self.held:
            return False
        self._path.unlink(missing_ok=True)
        self.held = False
        return True
