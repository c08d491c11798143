"""What is written down of a checkpoint, beside the index: where a power cut leads back to."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from gorego_tw.storage.lmdb_pages import DamagedPage, unpack_meta
from gorego_tw.storage.stable_storage import replace_file, sync_file

#: What of a meta page is not zeros, in bytes; the rest is made up again.
_KEPT_BYTES = 256

_NAME = "checkpoint"

#: A block of its own for each of two records.
_SLOT_BYTES = 4096


class CheckpointRecord(NamedTuple):
    """A point in time at which all of the index was on stable storage.

    ``boot_id`` is of the boot in which it was written. ``clean`` says that nothing was written after
    it. ``starts`` is how many processes in a row did not come to an end of their own will, nor lived
    for long. ``since`` is when, by the clock of the file system and in nanoseconds since the epoch, files
    began to be written that may not be on stable storage. ``meta`` is the index's meta page.
    """

    boot_id: str
    clean: bool
    starts: int
    since: int
    meta: bytes

    def write(self, folder: Path) -> None:
        """Put it in the place of the last but one, on the disk. It takes long; any thread may.

        Of two places in one file the older one is written over, so that it needs no room on a full disk,
        and so that a power cut meanwhile leaves the other one.

        :raises OSError: it cannot be; the earlier one is still there.
        """
        fd = _open(folder)
        try:
            slots = os.pread(fd, 2 * _SLOT_BYTES, 0)
            number = _newest(slots)[0] + 1
            start = number % 2 * _SLOT_BYTES
            try:
                os.pwrite(fd, self._pack(number), start)
                os.fsync(fd)
            except OSError:
                # The next one must go there again, and not over the one that is known to be on the disk.
                with suppress(OSError):
                    os.pwrite(fd, slots[start : start + _SLOT_BYTES], start)
                raise
        finally:
            os.close(fd)

    @classmethod
    def read(cls, folder: Path) -> CheckpointRecord | None:
        """What was written last; None if there is nothing, or nothing of ours."""
        try:
            slots = (folder / _NAME).read_bytes()
        except OSError:
            return None
        return _newest(slots)[1]

    @staticmethod
    def forget(folder: Path) -> None:
        """Have none, on the disk too.

        :raises OSError: there still is one.
        """
        (folder / _NAME).unlink(missing_ok=True)
        sync_file(folder)

    def _pack(self, number: int) -> bytes:
        meta = self.meta.rstrip(b"\0").ljust(_KEPT_BYTES, b"\0")
        fields = self._asdict() | {"meta": meta.hex(), "page_bytes": len(self.meta)}
        text = json.dumps(fields | {"number": number}, sort_keys=True)
        sealed = f"{crc32(text.encode()):08x} {text}\n"
        return sealed.encode("ascii").ljust(_SLOT_BYTES, b"\0")


def _open(folder: Path) -> int:
    path = folder / _NAME
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        replace_file(path, bytes(2 * _SLOT_BYTES))
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def _newest(slots: bytes) -> tuple[int, CheckpointRecord | None]:
    """The number of the newest record, and the record; 0 if there is none."""
    found: tuple[int, CheckpointRecord | None] = (0, None)
    for start in (0, _SLOT_BYTES):
        number, record = _unpack(slots[start : start + _SLOT_BYTES])
        if number > found[0]:
            found = number, record
    return found


def _unpack(slot: bytes) -> tuple[int, CheckpointRecord | None]:
    try:
        seal, _, text = slot.rstrip(b"\0\n").decode("ascii").partition(" ")
        if seal != f"{crc32(text.encode()):08x}":
            return 0, None
        fields = json.loads(text)
        number = fields.pop("number")
        fields["meta"] = bytes.fromhex(fields["meta"]).ljust(fields.pop("page_bytes"), b"\0")
        unpack_meta(fields["meta"])
        return number, CheckpointRecord(**fields)
    except (ValueError, KeyError, TypeError, AttributeError, DamagedPage):
        return 0, None
