"""Where blobs are as files, and how these come and go: by renaming, whole."""

# Names are strings: to make a Path takes as long as to open the file.
# ruff: noqa: PTH123, PTH103, PTH104, PTH108, PTH116, PTH120, PTH208

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count

from gorego_tw.digest import DigestFunction
from gorego_tw.storage.failures import PASSING
from gorego_tw.storage.folder import Folder
from gorego_tw.storage.placing import Placing
from gorego_tw.storage.records import BLOCK_BYTES, FILE, INLINE, BlobRecord, disk_bytes

#: Names in the folder of uploads that no later process asks for begin so; those in the trash that are no blobs, too.
TEMPORARY = "put-"

#: The blocks of a file of up to that many bytes are freed at once, and of a larger one by a thread: it takes 50 ms
#: and more for each GiB.
FREED_AT_ONCE_BYTES = 1 << 20

#: How many files a file system shall have room for yet, which may end before its bytes do: so many, or a part of all.
_MOST_FREE_FILES = 4096
_FREE_FILES_SHARE = 20


class BlobFiles:
    """The files of one folder: ``cas/<function>/<ab>/<hash>`` and those on their way there or away.

    All methods raise OSError.

    :ivar placing: the note of which file is being moved into place.
    :ivar doomed: told what a file takes that was moved to the trash to be deleted there, in bytes.
    """

    def __init__(self, folder: Folder) -> None:
        self.placing = Placing(folder.index / "placing")
        self.doomed: Callable[[int], object] = bool
        self._cas = str(folder.cas)
        self._uploads = str(folder.uploads)
        self._trash = str(folder.trash)
        self._names = {bytes([function]): function.name.lower() for function in DigestFunction}
        self._numbers = count()
        self._process = os.getpid()
        self._held: set[str] = set()

    def path(self, key: bytes) -> str:
        """Where the blob with that key is, if it is a file."""
        name = key[1:].hex()
        return f"{self._cas}/{self._names[key[:1]]}/{name[:2]}/{name}"

    def exists(self, key: bytes) -> bool:
        """Whether there is something in the place of a blob, as far as can be seen: a disk that is away for
        a moment has it still.
        """
        try:
            os.lstat(self.path(key))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            return error.errno in PASSING
        return True

    def stamp(self, key: bytes) -> int | None:
        """The change time of a blob's file (st_ctime_ns); None if there is none."""
        try:
            return os.lstat(self.path(key)).st_ctime_ns
        except FileNotFoundError:
            return None

    def guess(self, key: bytes) -> BlobRecord:
        """What a record that cannot be read may have said, as far as it is about room."""
        with suppress(OSError, KeyError):
            found = os.lstat(self.path(key))
            # That of a key which was cut off is a folder, with all other files in it.
            if stat.S_ISREG(found.st_mode):
                return BlobRecord(0, FILE, found.st_size, 0)
        return BlobRecord(0, INLINE, 0, 0)

    def is_as_recorded(self, key: bytes, record: BlobRecord) -> bool:
        """Whether the file of a blob is there, and nobody has touched it since that record was made."""
        with suppress(OSError):
            return record.is_of(os.lstat(self.path(key)))
        return False

    def folder(self, prefix: bytes) -> set[bytes]:
        """The keys of the blobs that have files and begin with those two bytes."""
        function, first = prefix[:1], prefix[1:].hex()
        length = 2 * DigestFunction(prefix[0]).hash_bytes
        try:
            names = os.listdir(f"{self._cas}/{self._names[function]}/{first}")
        except (FileNotFoundError, NotADirectoryError):
            return set()
        keys = set()
        for name in names:
            with suppress(ValueError):  # nothing of ours
                if len(name) == length and name.startswith(first):
                    keys.add(function + bytes.fromhex(name))
        return keys

    def temporary(self) -> str:
        """A name for a blob that arrives, which nobody else has."""
        return f"{self._uploads}/{self._own_name()}"

    def partial(self, name: str) -> str:
        """Where the upload of that name (a plain file name) is kept."""
        return f"{self._uploads}/{name}"

    def place(self, temporary: str, key: bytes) -> int:
        """Move a file to where its blob belongs.

        :returns: its stamp from now on (st_ctime_ns).
        """
        path = self.path(key)
        self._name_replaced(path)
        try:
            os.rename(temporary, path)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.rename(temporary, path)
        except IsADirectoryError:
            self.discard(key)
            os.rename(temporary, path)
        return os.stat(path).st_ctime_ns

    def _name_replaced(self, path: str) -> None:
        """Give a large file that another one takes the place of a name in the trash, so that its blocks are not
        freed at once.
        """
        with suppress(OSError):  # most of the time there is none
            found = os.lstat(path)
            if stat.S_ISREG(found.st_mode) and found.st_size > FREED_AT_ONCE_BYTES:
                os.link(path, f"{self._trash}/{self._own_name()}")
                self.doomed(disk_bytes(found.st_size))

    def delete(self, path: str) -> None:
        """Delete what is there, if anything is; what is large, when the trash is emptied."""
        try:
            size = os.lstat(path).st_size
        except FileNotFoundError:
            return
        if size > FREED_AT_ONCE_BYTES:
            with suppress(OSError):  # a full disk may have no room for its name there
                os.rename(path, f"{self._trash}/{self._own_name()}")
                self.doomed(disk_bytes(size))
                return
        _delete(path)

    def discard(self, key: bytes) -> bool:
        """Move what is in the place of a blob into the trash; or delete it.

        :returns: whether there was something.
        """
        try:
            name = self.hold(key)
        except OSError:  # a full disk may have no room for its name there
            self.delete(self.path(key))
            return True
        if name is not None:
            self.release(name)
        return name is not None

    def hold(self, key: bytes) -> str | None:
        """The same, but it stays there until it is released.

        :returns: its name there; None if there was nothing.
        """
        name = f"{key.hex()}.{self._process}.{next(self._numbers)}"
        self._held.add(name)
        try:
            self._move_to_trash(key, name)
        except BaseException as error:
            self._held.discard(name)
            if isinstance(error, FileNotFoundError):
                return None
            raise
        return name

    def _move_to_trash(self, key: bytes, name: str) -> None:
        path = self.path(key)
        try:
            os.rename(path, f"{self._trash}/{name}")
        except FileNotFoundError:
            if not os.path.lexists(path):
                raise
            os.makedirs(self._trash, exist_ok=True)  # somebody has tidied up
            os.rename(path, f"{self._trash}/{name}")

    def release(self, name: str) -> None:
        """What is held in the trash may go."""
        self._held.discard(name)

    def bring_back(self, name: str, key: bytes) -> None:
        """Move what is held to where it was."""
        os.rename(f"{self._trash}/{name}", self.path(key))
        self._held.discard(name)

    def discarded(self) -> Iterator[bytes]:
        """The keys of the blobs whose files are in the trash."""
        for name in os.listdir(self._trash):
            with suppress(ValueError):  # not put there by us, deleted all the same
                yield bytes.fromhex(name.partition(".")[0])

    def empty_trash(self) -> None:
        """Delete what is in the trash. It takes long; any thread may.

        What cannot be deleted stays for the next time; if need be all of it.
        """
        try:
            names = os.listdir(self._trash)
        except OSError:  # if it is not there, it is made when something goes there
            return
        for name in names:
            if name in self._held:
                continue
            with suppress(OSError):
                _delete(f"{self._trash}/{name}")

    def arriving(self) -> list[tuple[str, os.stat_result]]:
        """The files in the folder of uploads: their names and what they are, if that can be read."""
        found = []
        with os.scandir(self._uploads) as entries:
            for entry in entries:
                with suppress(OSError):
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
        return found

    def partial_size(self, name: str) -> int | None:
        """How much of an upload of that name is in its file, in bytes; None if there is none."""
        try:
            return os.stat(self.partial(name)).st_size
        except FileNotFoundError:
            return None

    def is_partial_still(self, name: str, listed: os.stat_result) -> bool:
        """Whether the upload of that name is as it was when it was listed: nobody has gone on with it since."""
        found = os.stat(self.partial(name))
        return (found.st_mtime_ns, found.st_size) == (listed.st_mtime_ns, listed.st_size)

    def touch_partial(self, name: str) -> None:
        """Somebody has asked for an upload, and goes on with it presumably."""
        os.utime(self.partial(name))

    def try_to_write(self, *, to_stable_storage: bool = False) -> None:
        """Write a page and delete it. It may take long; any thread may."""
        path = self.temporary()
        try:
            with open(path, "wb") as file:
                file.write(bytes(BLOCK_BYTES))
                if to_stable_storage:
                    file.flush()
                    os.fsync(file.fileno())
        finally:
            _delete(path)

    def _own_name(self) -> str:
        """One that no file has had."""
        return f"{TEMPORARY}{self._process}.{next(self._numbers)}"

    def free_bytes(self) -> int:
        """What the file system has left for us, in bytes."""
        figures = os.statvfs(self._cas)
        return figures.f_bavail * figures.f_frsize

    def lacking_files(self) -> int:
        """How many files too few the file system has room for; 0 or less if for enough."""
        figures = os.statvfs(self._cas)
        if not figures.f_files:  # it makes room for as many as there are
            return -sys.maxsize
        return min(_MOST_FREE_FILES, figures.f_files // _FREE_FILES_SHARE) - figures.f_favail


def _delete(path: str) -> None:
    with suppress(FileNotFoundError):
        try:
            os.unlink(path)
        except IsADirectoryError:  # somebody put it in the place of a blob
            shutil.rmtree(path)
