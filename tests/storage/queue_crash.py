"""A process that is killed while it queues: ``python -m tests.storage.queue_crash FOLDER MODE``.

It says on its output what was acknowledged, as soon as it was, and what was done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gorego_tw.errors import ResourceExhausted
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.storage.pending import Pending
from gorego_tw.storage.tier import LocalTier
from tests.storage.tiers import blob, put

ROOT = Path(__file__).parent.parent.parent

#: The sizes of the blobs that are put: in the index, in a file.
SIZES = (100, 5000)

#: How many the queue holds.
MOST_ENTRIES = 200


def action_of(number: int) -> tuple[ActionKey, StoredActionResult]:
    """An action result that refers to the two blobs of that number."""
    references = tuple(blob(size_bytes, number)[0] for size_bytes in SIZES)
    return ActionKey("name", blob(10, number)[0]), StoredActionResult(b"result", references)


def say(*words: object) -> None:
    """One line, now."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def fill(tier: LocalTier, pending: Pending, *, emptied: bool) -> None:
    """Queue blobs and action results; with ``emptied`` take the older half out before it is full."""
    for number in count():
        for size_bytes in SIZES:
            digest, data = blob(size_bytes, number)
            Deferred.fromCoroutine(put(tier.blobs, digest, data))
            pending.add_blob(digest)
            say("added", digest.key.hex())
        key, result = action_of(number)
        Deferred.fromCoroutine(tier.action_results.put(key, result))
        added = pending.add_action(key, len(result.data), result.references)
        say("added", added[-1].hex())
        if emptied and len(pending) >= MOST_ENTRIES - len(SIZES):
            for waiting in list(pending)[: MOST_ENTRIES // 2]:
                say("done", waiting.hex())
                pending.done(waiting)


def main(folder: str, mode: str) -> None:
    """Fill the queue, and wait for the end when it is full."""
    tier = LocalTier.open(
        Path(folder),
        limit_bytes=1 << 30,
        free_reserve_bytes=0,
        clock=Clock(),
        threads=NoDiskThreads(),
    )
    pending = Pending(tier.environment, Clock(), max_entries=MOST_ENTRIES, max_bytes=1 << 30)
    with suppress(ResourceExhausted):
        fill(tier, pending, emptied=mode == "emptied")
    say("full", len(pending))
    signal.pause()


def run_and_kill(folder: Path, mode: str, lines: int) -> list[list[str]]:
    """What a process in that mode has said until it was killed: after so many lines, or when full."""
    command = [sys.executable, "-m", "tests.storage.queue_crash", str(folder), mode]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            said.append(line)
            if line.startswith("full") or len(said) == lines:
                break
        child.kill()
        said += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL, child.returncode
    return [line.split() for line in said if line.endswith("\n")]


if __name__ == "__main__":
    main(*sys.argv[1:])
