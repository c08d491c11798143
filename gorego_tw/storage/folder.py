"""The folder of the local tier: whose it is and what form it has."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from txaio.tx import make_logger

from gorego_tw.storage.stable_storage import replace_file, sync_file

#: The form of what is in the folder. A program that changes it changes this.
#:
#: 1. an index, files, uploads, trash
#: 2. and compressed files beside the others
#: 3. as 1, and beside the index the last checkpoint, which programs that know 1 would not keep up to date
#: 4. as 2, and the last checkpoint
#: 5. as 3, and records in the index may have checksums, which programs that know 3 would take for damage
#: 6. as 4, and such records
VERSION = "5"

#: The form in which there are compressed files beside the others. A folder has it from the first of them
#: on, so that programs that do not know them can go on with a folder that has none.
COMPRESSED_VERSION = "6"

#: Older forms, and what they are made by adding what is missing, which costs no time.
_OLDER = {"1": VERSION, "2": COMPRESSED_VERSION, "3": VERSION, "4": COMPRESSED_VERSION}

#: Those of programs that did not keep the checkpoint up to date.
_WITHOUT_CHECKPOINT = frozenset({"1", "2"})

#: Whatever may be in a folder of ours that has no version: the process that made it was killed, or somebody has
#: deleted that file. ``unverified`` is of older ones.
_OURS = frozenset(
    {"index", "cas", "uploads", "trash", "lock", "version.new", "ballast", "unverified", "crash"}
    | {"reuse.json", "reuse.json.new", "control", "lost+found"}
)
_OURS_SET_ASIDE = "index.damaged-"

_log = make_logger()


class FolderError(Exception):
    """Why the folder cannot be used and what would help, in one line."""


class FolderInUse(FolderError):
    """Another process has it."""


class Folder:
    """The folder, held by this process until it is closed.

    :param path: made if it does not exist.
    :raises FolderInUse: another process has it.
    :raises FolderError: it cannot be made or written, or is of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version = VERSION
        try:
            self._refuse_others()
            for part in (self.index, self.cas, self.uploads, self.trash):
                part.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise FolderError(
                f"{path}: cannot be used as cache folder: {error.strerror}"
            ) from error
        try:
            self._take()
            self._check_version()
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def index(self) -> Path:
        """Where LMDB's files are."""
        return self.path / "index"

    @property
    def cas(self) -> Path:
        """Where blobs are files."""
        return self.path / "cas"

    @property
    def uploads(self) -> Path:
        """Where blobs arrive."""
        return self.path / "uploads"

    @property
    def trash(self) -> Path:
        """Where evicted files wait for their deletion."""
        return self.path / "trash"

    def allow_compressed(self) -> None:
        """Let programs that do not know compressed files refuse the folder from now on.

        :raises FolderError: its version cannot be written.
        """
        if self._version == COMPRESSED_VERSION:
            return
        path, new = self.path / "version", self.path / "version.new"
        try:
            with new.open("w", encoding="ascii") as file:
                file.write(f"{COMPRESSED_VERSION}\n")
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            sync_file(self.path)
        except OSError as error:
            raise FolderError(f"{path}: {error.strerror}") from error
        self._version = COMPRESSED_VERSION

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._lock)

    def _refuse_others(self) -> None:
        """What is in the trash, or unfinished among uploads, is deleted; it has to be ours."""
        if not self.path.exists() or (self.path / "version").exists():
            return
        names = {path.name for path in self.path.iterdir()}
        others = sorted(name for name in names - _OURS if not name.startswith(_OURS_SET_ASIDE))
        parts = (self.index, self.cas, self.uploads, self.trash)
        is_new = not any(any(part.iterdir()) for part in parts if part.name in names)
        if others or not (is_new or "lock" in names):
            found = f"{others[0]!r} is in it" if others else "it has no 'version'"
            raise FolderError(
                f"{self.path}: {found}, so it is no cache folder of gorego; name an empty folder or one to be made"
            )

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(
                f"{self.path}: in use by another daemon, or by a gorego cache command"
            ) from None
        except OSError as error:
            raise FolderError(f"{self.path}: cannot be locked: {error.strerror}") from error

    def _check_version(self) -> None:
        path = self.path / "version"
        try:
            if not path.exists() or not path.stat().st_size:  # a disk that was full, or a kill
                replace_file(path, f"{VERSION}\n".encode("ascii"))
            found = path.read_text(encoding="utf-8", errors="replace").strip()
            if found in _OLDER:
                found = self._upgrade(path, found)
        except OSError as error:
            raise FolderError(f"{path}: {error.strerror}") from error
        if found not in {VERSION, COMPRESSED_VERSION}:
            raise FolderError(
                f"{self.path}: has the form {found[:20]!r}, this program knows {VERSION!r} and "
                f"{COMPRESSED_VERSION!r}; go on with the version of gorego that has made it so, name another "
                "folder, or delete this one"
            )
        self._version = found

    def _upgrade(self, path: Path, older: str) -> str:
        if older in _WITHOUT_CHECKPOINT:
            # One of an even earlier time, when another program had the folder in between.
            (self.index / "checkpoint").unlink(missing_ok=True)
        version = _OLDER[older]
        replace_file(path, f"{version}\n".encode("ascii"))
        _log.info("{folder} has the form {version} now", folder=str(self.path), version=version)
        return version
