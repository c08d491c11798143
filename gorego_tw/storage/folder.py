"""The folder of the local tier: whose it is and what form it has."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

#: The form of what is in the folder. A program that changes it changes this.
VERSION = "1"

#: The form in which there are compressed files beside the others. A folder has it from the first of them
#: on, so that programs that do not know them can go on with a folder that has none.
COMPRESSED_VERSION = "2"


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
            _sync_folder(self.path)
        except OSError as error:
            raise FolderError(f"{path}: {error.strerror}") from error
        self._version = COMPRESSED_VERSION

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._lock)

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(f"{self.path}: in use by another daemon") from None
        except OSError as error:
            raise FolderError(f"{self.path}: cannot be locked: {error.strerror}") from error

    def _check_version(self) -> None:
        path = self.path / "version"
        try:
            if not path.exists():
                path.write_text(f"{VERSION}\n", encoding="ascii")
            found = path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError as error:
            raise FolderError(f"{path}: {error.strerror}") from error
        if found not in {VERSION, COMPRESSED_VERSION}:
            raise FolderError(
                f"{self.path}: has the form {found[:20]!r}, this program knows {VERSION!r} and "
                f"{COMPRESSED_VERSION!r}; name another folder or delete this one"
            )
        self._version = found


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
