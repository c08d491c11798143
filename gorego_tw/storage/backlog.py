"""Which blobs have still to be compressed: noted in files, so that the next process goes on with them.

A note takes 3 microseconds and is safe from kill -9. What is noted and was done has no need to be taken
out: a look at the index tells that. A power cut may lose notes, or damage them: then blobs stay as they are.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from gorego_tw.digest import Digest, DigestFunction

#: How many notes there are in a file. Then there is a second one, and the one before the last goes.
MOST_NOTES = 65_536

#: With fewer notes than that it is not worth its time to clear a file, while more may come.
_FEW_NOTES = 1000


class Backlog:
    """Notes of blobs, the latest of which are kept.

    :param path: of the file; another one has ``.old`` behind its name.
    :raises OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._old = path.with_name(f"{path.name}.old")
        self._notes = 0
        self._open()

    @property
    def is_empty(self) -> bool:
        """Whether there is no note, of this process or of another one."""
        return not os.fstat(self._fd).st_size and not self._old.exists()

    def add(self, digest: Digest) -> None:
        """Note that blob. If that is not possible, there is no note of it."""
        with suppress(OSError):
            if self._notes >= MOST_NOTES:
                self._path.replace(self._old)
                full = self._fd
                self._open()
                os.close(full)
            os.write(self._fd, b"%s %d\n" % (digest.key.hex().encode("ascii"), digest.size_bytes))
            self._notes += 1

    def read(self) -> list[bytes]:
        """All notes, for :func:`noted`. It takes long; any thread may."""
        lines: list[bytes] = []
        for path in (self._old, self._path):
            with suppress(OSError):
                lines += path.read_bytes().splitlines()
        return lines

    def clear(self, *, at_once: bool = False) -> None:
        """Nothing of what is noted has to be done any more.

        :param at_once: even if there is little of it.
        """
        with suppress(OSError):
            if at_once or self._notes >= _FEW_NOTES:
                os.ftruncate(self._fd, 0)
                self._old.unlink(missing_ok=True)
                self._notes = 0

    def close(self) -> None:
        """Leave the notes to the next process."""
        os.close(self._fd)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o644)
        self._notes = 0


def noted(line: bytes) -> Digest | None:
    """The blob of a note; None if it is none."""
    name, _, size = line.partition(b" ")
    try:
        key = bytes.fromhex(name.decode("ascii"))
        function = DigestFunction(key[0])
        size_bytes = int(size)
    except (ValueError, IndexError):
        return None
    return Digest(key, size_bytes) if len(key) == 1 + function.hash_bytes else None
