"""Damage of the index that shows while it is in use: noted beside it, so that the next start knows.

A start looks at what it has time for, and at ten million entries that is a small part of the pages. LMDB
meets the rest one by one: some damage it reports, some ends the process (an assertion, SIGSEGV, SIGBUS).
"""

from __future__ import annotations

import faulthandler
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import lmdb
from twisted.application.service import Service

from gorego_tw.storage.folder import Folder
from gorego_tw.storage.stable_storage import replace_file

_NAME = "damage"
_CRASH = "crash"

#: What LMDB says of pages that are not as it has written them.
_DAMAGE = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.IncompatibleError)

#: What it says where the first pages are not as it has written them, and seldom otherwise.
_PERHAPS = (lmdb.BadTxnError, lmdb.MapResizedError)

#: Where the thread was, of what faulthandler writes down: the innermost frame is the first.
_INNERMOST = re.compile(r'^  File "([^"]*)"', re.MULTILINE)


class IndexDamage:
    """What a process meets in the index that it has open.

    :param folder: of the index.
    :param is_readable: reads a little of all of it; whether that goes well.
    :ivar met: called with it, once.
    """

    def __init__(self, folder: Path, is_readable: Callable[[], bool]) -> None:
        self.met: Callable[[str], object] = bool
        self._folder = folder
        self._is_readable = is_readable
        self._noted = False

    def look_at(self, error: lmdb.Error) -> None:
        """Note the error, if it says that the file is damaged or that LMDB has given up on it."""
        if isinstance(error, _DAMAGE) or (
            isinstance(error, _PERHAPS) and not self._noted and not self._is_readable()
        ):
            self.note(str(error))
        elif isinstance(error, lmdb.PanicError):
            self._tell(str(error))

    def note(self, damage: str) -> None:
        """The file is damaged."""
        if not self._noted:
            with suppress(OSError):
                replace_file(self._folder / _NAME, damage.encode())
        self._tell(damage)

    def _tell(self, damage: str) -> None:
        if not self._noted:
            self._noted = True
            self.met(f"local tier: the index is damaged: {damage}")


class CrashNote(Service):
    """Has the interpreter write down where it was if a signal ends it, from ``begin`` on until the service stops."""

    def __init__(self, folder: Folder) -> None:
        self._path = folder.path / _CRASH
        self._file: BinaryIO | None = None

    def begin(self) -> None:
        """What was noted before is known."""
        with suppress(OSError):  # a disk without room for it is no reason not to start
            self._file = self._path.open("wb", buffering=0)
            faulthandler.enable(self._file, all_threads=False)

    def end(self) -> None:
        """No more is to be noted."""
        file, self._file = self._file, None
        if file is not None:
            faulthandler.disable()
            file.close()
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def stopService(self) -> None:
        """No more is to be noted."""
        super().stopService()
        self.end()


def met_in_use(folder: Folder) -> str:
    """What a process before has met in the index; nothing if it was none."""
    with suppress(OSError):
        return f"met in use: {(folder.index / _NAME).read_text(errors='replace')}"
    return ""


def forget_met(folder: Folder) -> None:
    """The next process is to know of nothing."""
    (folder.index / _NAME).unlink(missing_ok=True)


def crashed(folder: Folder) -> bool:
    """Whether a signal has ended the process before while it was in LMDB."""
    try:
        innermost = _INNERMOST.search((folder.path / _CRASH).read_text(errors="replace"))
    except OSError:
        return False
    return innermost is not None and Path(innermost[1]).parent == Path(__file__).parent
