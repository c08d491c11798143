"""Writes the index's file once more, page for page as it is, after the disk has failed to take it in.

The kernel tells once that pages could not be written, and takes them for written from then on. So the next
sync goes well without them, though the disk has something else in their place: a checkpoint of which
that is said would lead a power cut back to a damaged index. What is written again is brought to the disk again.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator

import lmdb

from gorego_tw.storage.environment import Environment

#: How much is written at a time, in bytes: for that long, a millisecond, commits have to wait; and how long
#: it rests then, in seconds.
PART_BYTES = 1 << 20
REST_SECONDS = 0.002


def write_again(environment: Environment) -> None:
    """Write all of the file that is no hole. It takes long; any thread may.

    Each part is read and written inside of a write transaction, in which nothing is changed, so that nothing
    newer is written over.

    :raises OSError: the disk fails.
    :raises StatusError: LMDB does.
    """
    fd = os.open(environment.file, os.O_RDWR | os.O_CLOEXEC)
    try:
        for start, size in _parts(fd):
            try:
                with environment.begin(write=True):  # which is nothing, when it is committed
                    os.pwrite(fd, os.pread(fd, size, start), start)
            except lmdb.Error as error:
                raise environment.trouble(error) from error
            time.sleep(REST_SECONDS)
    finally:
        os.close(fd)


def _parts(fd: int) -> Iterator[tuple[int, int]]:
    """Where there is something now, in pieces of up to PART_BYTES: their starts and sizes, in bytes. What comes
    to the end of the file meanwhile is new, and goes to the disk anyway.
    """
    position, size = 0, os.fstat(fd).st_size
    while position < size and (start := _data(fd, position)) is not None:
        end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        for part in range(start, end, PART_BYTES):
            yield part, min(PART_BYTES, end - part)
        position = end


def _data(fd: int, position: int) -> int | None:
    try:
        return os.lseek(fd, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing behind it
            return None
        raise
