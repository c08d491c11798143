"""What is written down of a checkpoint, beside the index: where a power cut leads back to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from gorego_tw.storage.lmdb_pages import DamagedPage, unpack_meta
from gorego_tw.storage.stable_storage import replace_file

#: What of a meta page is not zeros, in bytes; the rest is made up again.
_KEPT_BYTES = 256

_NAME = "checkpoint"


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
        """Put it in the place of an earlier one, on the disk. It takes long; any thread may.

        :raises OSError: it cannot be; the earlier one is still there.
        """
        meta = self.meta.rstrip(b"\0").ljust(_KEPT_BYTES, b"\0")
        fields = self._asdict() | {"meta": meta.hex(), "page_bytes": len(self.meta)}
        text = json.dumps(fields, sort_keys=True)
        sealed = f"{crc32(text.encode()):08x} {text}\n"
        replace_file(folder / _NAME, sealed.encode("ascii"))

    @classmethod
    def read(cls, folder: Path) -> CheckpointRecord | None:
        """What was written last; None if there is nothing, or nothing of ours."""
        try:
            seal, _, text = (folder / _NAME).read_text("ascii").rstrip("\n").partition(" ")
            if seal != f"{crc32(text.encode()):08x}":
                return None
            fields = json.loads(text)
            fields["meta"] = bytes.fromhex(fields["meta"]).ljust(fields.pop("page_bytes"), b"\0")
            unpack_meta(fields["meta"])
            return cls(**fields)
        except (OSError, ValueError, KeyError, TypeError, DamagedPage):
            return None
