"""Processes that are killed, each at another step: ``python -m tests.storage.crash FOLDER``.

Each opens a tier in a folder of its own in FOLDER, writes down what the tier has acknowledged,
and kills itself before or after one of STEPS. The folder is called after that.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.storage.files import BlobFiles
from gorego_tw.storage.index_write import IndexWrite
from gorego_tw.storage.placing import Placing
from gorego_tw.storage.tier import LocalTier
from tests.storage.tiers import blob, put

#: The sizes of the blobs that are put: in the index, in a file.
SIZES = (100, 5000, 100_000)

#: The file in the folder of the tier that says what was acknowledged.
ACKNOWLEDGED = "acknowledged"

#: Where it can die: the calls that a crash can come between.
STEPS: dict[str, tuple[type, str]] = {
    "note": (Placing, "note"),
    "place": (BlobFiles, "place"),
    "put_blob": (IndexWrite, "put_blob"),
    "commit": (IndexWrite, "__exit__"),
    "drop_blob": (IndexWrite, "drop_blob"),
    "discard": (BlobFiles, "discard"),
    "empty_trash": (BlobFiles, "empty_trash"),
}


def die() -> None:
    """Be gone at once, with nothing put in order."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying(call: Callable[..., Any], *, after: bool, times: int) -> Callable[..., Any]:
    """``call``, in which the process dies at its ``times``-th time."""
    left = times

    def step(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if not left and not after:
            die()
        result = call(*arguments)
        if not left and after:
            die()
        return result

    return step


def use_tier(folder: Path, call: tuple[type, str], *, after: bool, times: int) -> None:
    """Put, evict, put again, until it dies in ``call``."""
    tier = LocalTier.open(
        folder, limit_bytes=1 << 30, free_reserve_bytes=0, clock=Clock(), threads=NoDiskThreads()
    )
    owner, name = call
    setattr(owner, name, dying(getattr(owner, name), after=after, times=times))
    with (folder / ACKNOWLEDGED).open("w", buffering=1) as acknowledged:
        for size_bytes in SIZES:
            digest, data = blob(size_bytes)
            for _ in range(2):
                Deferred.fromCoroutine(put(tier.blobs, digest, data))
                acknowledged.write(f"put {size_bytes}\n")
                tier.inventory.evict([digest.key])
                acknowledged.write(f"evicted {size_bytes}\n")
                Deferred.fromCoroutine(tier.empty_trash())
            Deferred.fromCoroutine(put(tier.blobs, digest, data))
            acknowledged.write(f"put {size_bytes}\n")


def main(root: str) -> None:
    """Let one process after the other die. Some steps do not happen five times."""
    died = 0
    for step, call in STEPS.items():
        for after in (False, True):
            for times in (1, 2, 5):
                child = os.fork()
                if not child:
                    folder = Path(root) / f"{'after' if after else 'before'} {step} {times}"
                    use_tier(folder, call, after=after, times=times)
                    os._exit(0)
                died += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert died >= 36, died


if __name__ == "__main__":
    main(*sys.argv[1:])
