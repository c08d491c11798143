"""Damaged indexes that were set aside: kept for what is left in them, and then for whoever wants to know more.

What one takes does not count while blobs come back from it: they would find no room. Then it does, and it is
the first to go when there is not enough.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from time import gmtime, strftime, time_ns

from txaio.tx import make_logger

from gorego_tw.storage.folder import Folder
from gorego_tw.storage.holes import taken_bytes
from gorego_tw.storage.stable_storage import sync_file

#: How many are kept at most.
MOST_SET_ASIDE = 2
_PREFIX = "index.damaged-"


def set_aside(folder: Folder) -> Path:
    """Keep the index under another name, and have an empty folder in its place.

    :returns: the name.
    :raises OSError: it cannot be moved.
    """
    kept = indexes_set_aside(folder)
    for old in kept[: max(0, len(kept) - MOST_SET_ASIDE + 1)]:
        shutil.rmtree(old, ignore_errors=True)
    seconds, nanoseconds = divmod(time_ns(), 1_000_000_000)
    now = strftime("%Y%m%d-%H%M%S", gmtime(seconds))
    name = folder.path / f"{_PREFIX}{now}.{nanoseconds:09d}"
    folder.index.rename(name)
    folder.index.mkdir()
    with suppress(OSError):
        sync_file(folder.path)
    return name


def indexes_set_aside(folder: Folder) -> list[Path]:
    """The damaged indexes that are kept, the oldest first."""
    return sorted(folder.path.glob(f"{_PREFIX}*"))


class SetAside:
    """Those that nothing comes back from any more.

    :ivar size_bytes: what they take of the disk, in bytes.
    """

    _log = make_logger()

    def __init__(self) -> None:
        self.size_bytes = 0
        self._taken: dict[Path, int] = {}

    def add(self, path: Path) -> None:
        """All that was left in that one is back."""
        taken = 0
        with suppress(OSError):
            taken = sum(map(taken_bytes, path.iterdir()))
        self._taken[path] = taken
        self.size_bytes += taken

    def remove(self) -> None:
        """Delete them. It takes long; any thread may."""
        while self._taken:
            path, taken = self._taken.popitem()
            shutil.rmtree(path, ignore_errors=True)
            self.size_bytes -= taken
            self._log.warn("{path} was removed: there is no room for it", path=str(path))
