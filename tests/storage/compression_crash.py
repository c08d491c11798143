"""Processes that are killed while they compress: ``python -m tests.storage.compression_crash FOLDER``.

Each keeps a blob in a folder of its own in FOLDER, whose name says at which of STEPS it dies.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gorego_tw.storage.compressing import Compressing
from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.frame_file import FrameFile
from gorego_tw.storage.index_write import IndexWrite
from gorego_tw.storage.tier import LocalTier
from tests.storage.compression import text
from tests.storage.crash import dying
from tests.storage.tiers import LIMIT_BYTES, put

SIZE = 700_000

#: Where it dies, and at which time it comes there: before, the blob itself is moved and indexed.
STEPS: dict[str, tuple[type, str, int]] = {
    "make": (FrameFile, "make", 1),
    "place": (BlobFiles, "place", 2),
    "put_blob": (IndexWrite, "put_blob", 2),
    "commit": (IndexWrite, "__exit__", 2),
    "delete": (BlobFiles, "delete", 1),
}


def use_tier(folder: Path, step: tuple[type, str, int], *, after: bool) -> None:
    """Keep the blob, which is compressed then, and die meanwhile."""
    tier = LocalTier.open(
        folder,
        limit_bytes=LIMIT_BYTES,
        free_reserve_bytes=0,
        clock=Clock(),
        threads=NoDiskThreads(),
    )
    Compressing(tier, NoDiskThreads()).startService()
    owner, name, times = step
    setattr(owner, name, dying(getattr(owner, name), after=after, times=times))
    Deferred.fromCoroutine(put(tier.blobs, *text(SIZE)))


def main(root: str) -> None:
    """Let one process after the other die."""
    for name, step in STEPS.items():
        for after in (False, True):
            child = os.fork()
            if not child:
                use_tier(Path(root) / f"{'after' if after else 'before'} {name}", step, after=after)
                os._exit(0)
            assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), name


if __name__ == "__main__":
    main(*sys.argv[1:])
