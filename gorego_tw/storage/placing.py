"""The note of which file is being moved into place: what a kill meanwhile leaves to be put right.

It is for the next process of the same boot, so nothing waits for the disk. One is enough: a file is moved and
its entry is committed in one go, and a note that was not needed does no harm: a blob that the index knows stays,
and one that it does not know has no file.
"""

# A name is a string: to make a Path takes as long as to open the file.
# ruff: noqa: PTH123

from __future__ import annotations

import os
from pathlib import Path

#: Longer than any key, which the first byte tells the length of; written whole each time, so that it is there
#: whole and needs no room on a full disk.
_NOTE_BYTES = 128


class Placing:
    """Keeps the note.

    :param path: of the file that it is in.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def note(self, key: bytes) -> None:
        """The file of that blob will be moved into place.

        :raises OSError: it cannot be written.
        """
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.pwrite(fd, (bytes([len(key)]) + key).ljust(_NOTE_BYTES, b"\0"), 0)
        finally:
            os.close(fd)

    def noted(self) -> bytes | None:
        """The key that was noted last; None if there is none.

        :raises OSError: it cannot be read.
        """
        try:
            with open(self._path, "rb") as file:
                note = file.read(_NOTE_BYTES)
        except FileNotFoundError:
            return None
        return note[1 : 1 + note[0]] if len(note) == _NOTE_BYTES and note[0] else None
