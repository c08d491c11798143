"""``python -m crashtest SECONDS [SEED]``: kill -9 at random moments under load, for so long.

Real clients write, read, break off and resume against a daemon in a process of its own. It is
killed, started again, and asked for all that it has acknowledged. Five kinds of folders take turns:
with room for everything, or with so little that blobs are evicted all the time; each alone, and
with a backing cache, which has to get everything in the end; and one in which blobs are compressed and
scrubbed. Only without a backing cache may anything be evicted for good.

The seed decides who does what in which order and how long each daemon lives; when a call meets
the kill depends on the machine. The last lines say what was done and what was wrong, and the exit
code is 1 if anything was. A folder in which something was wrong is kept.
"""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from crashtest.conditions import ALL
from crashtest.content import Content
from crashtest.experiment import Experiment
from crashtest.findings import UNCLEAN, Findings
from crashtest.ledger import Ledger
from crashtest.lives import Lives

#: How many lives a folder has.
LIVES = (3, 8)

#: So many in a short run, for each kind of folder to have its turn.
SHORT_SECONDS = 60.0
SHORT_LIVES = (1, 2)


def run(seconds: float, seed: int) -> Findings:
    """Kill for so long."""
    findings, random = Findings(), Random(seed)
    end = time.monotonic() + seconds
    lives = SHORT_LIVES if seconds <= SHORT_SECONDS else LIVES
    number = 0
    while time.monotonic() < end:
        conditions = ALL[number % len(ALL)]
        experiment = Experiment(conditions, Content(seed), Ledger(), findings)
        one_folder(experiment, random.randint(*lives), end, f"{seed} {number}")
        number += 1
    return findings


def one_folder(experiment: Experiment, lives: int, end: float, seed: str) -> None:
    """All lives of a folder; it is kept if something was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="gorego-crash-"))
    findings = experiment.findings
    before = findings.faults
    try:
        Lives(folder, experiment, seed).run(lives, end)
    except AssertionError as error:
        findings.fault(UNCLEAN, error)
    findings.count(f"folders: {experiment.conditions.name}")
    if findings.faults == before:
        shutil.rmtree(folder)
    else:
        print(f"kept: {folder}", flush=True)


def main(arguments: list[str]) -> int:
    """Run and tell.

    :returns: the exit code.
    """
    seconds = float(arguments[0]) if arguments else 60.0
    seed = int(arguments[1]) if arguments[1:] else secrets.randbelow(1_000_000)
    print(f"seed {seed}, {seconds:g} s", flush=True)
    findings = run(seconds, seed)
    print(*findings.lines(), sep="\n")
    print(f"seed {seed}: {findings['kills survived']} kills survived, {findings.faults} faults")
    return 1 if findings.faults or not findings["kills survived"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
