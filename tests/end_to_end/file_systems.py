"""File systems of their own for daemons under test: small ones, and one whose power can be cut."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import re
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

MIB = 1 << 20

#: What a file's content is found by on a disk, in bytes: a block of a small file system may be so short.
_BLOCK = 1024

#: ext4's request to stop at once, without writing what is in memory: EXT4_IOC_SHUTDOWN with
#: EXT4_GOING_FLAGS_NOLOGFLUSH (fs/ext4/ext4.h).
_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2


class FileSystem:
    """One that is mounted, until the test ends.

    :param mount: the command that mounts it, without the place.
    :raises SkipTest: this user may not.
    """

    def __init__(self, test: SynchronousTestCase, place: Path, *mount: str) -> None:
        self.place = place
        self._mount = mount
        self.mount()
        test.addCleanup(self.unmount)

    def mount(self) -> None:
        """Mount it, or mount it again."""
        self.place.mkdir(exist_ok=True)
        command = ["mount", *self._mount, str(self.place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SkipTest(f"no file system can be mounted here: {done.stderr.strip()}")

    def unmount(self) -> None:
        """Unmount it, if it is mounted; whoever has files of it open has them no more."""
        if os.path.ismount(self.place):
            subprocess.run(["umount", str(self.place)], capture_output=True, check=True)

    @property
    def free_bytes(self) -> int:
        """What it has left, in bytes."""
        about = os.statvfs(self.place)
        return about.f_bavail * about.f_frsize

    def fill(self) -> Path:
        """Take all that is left.

        :returns: the file that has it.
        """
        path = self.place / "filler"
        with path.open("ab") as file:
            for size in (MIB, 4096):
                try:
                    while True:
                        os.write(file.fileno(), bytes(size))
                except OSError:
                    continue
        return path


def tmpfs(
    test: SynchronousTestCase, place: Path, size_bytes: int, files: int = 10_000
) -> FileSystem:
    """A file system in memory, of that size, for so many files and folders."""
    options = f"size={size_bytes},nr_inodes={files}"
    return FileSystem(test, place, "-t", "tmpfs", "-o", options, "tmpfs")


class Disk(FileSystem):
    """An ext4 file system in a file.

    :raises SkipTest: it cannot be made here.
    """

    def __init__(self, test: SynchronousTestCase, place: Path, size_bytes: int) -> None:
        if shutil.which("mkfs.ext4") is None:
            raise SkipTest("no mkfs.ext4")
        self._image = image = place.with_suffix(".image")
        with image.open("wb") as file:
            file.truncate(size_bytes)
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, capture_output=True)
        super().__init__(test, place, "-o", "loop", str(image))

    def damage(self, file: Path, position: int) -> None:
        """Let the disk give another byte of a file than was written, and nothing of it be in memory."""
        fd = os.open(file, os.O_RDONLY)
        try:
            os.fsync(fd)
            content = os.pread(fd, _BLOCK, position - position % _BLOCK)
            with self._image.open("r+b") as image, mmap.mmap(image.fileno(), 0) as disk:
                # Blocks of a file that was deleted may have the same content.
                blocks = [found.start() for found in re.finditer(re.escape(content), disk)]
                assert blocks, "the file is not on the disk"
                for block in blocks:
                    disk[block + position % _BLOCK] ^= 1
                disk.flush()
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)

    def cut(self) -> None:
        """Cut its power: what was not on the disk by now never will be.

        :raises SkipTest: this kernel cannot do so.
        """
        fd = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, ctypes.c_uint32(_NO_LOG_FLUSH))
        except OSError as error:
            raise SkipTest(f"this file system cannot be shut down: {error}") from None
        finally:
            os.close(fd)
