"""``python -m bench [ROUNDS]``: runs every workload against both servers by turns."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench import chain
from bench.contestants import Contestant, gorego, grpcio
from bench.h2load import H2LOAD, LoadError
from bench.table import header, machine, row
from bench.workload import Figure, Workload, workloads

ROUNDS = 5


def rounds(
    workload: Workload, contestants: tuple[Contestant, Contestant], count: int, folder: Path
) -> tuple[list[Figure], list[Figure]]:
    """So many rounds; who begins changes with each."""
    figures: dict[str, list[Figure]] = {contestant.name: [] for contestant in contestants}
    for number in range(count):
        for contestant in contestants[:: -1 if number % 2 else 1]:
            figures[contestant.name].append(workload.measure(contestant, folder))
    ours, theirs = contestants
    return figures[ours.name], figures[theirs.name]


def main(count: int) -> None:
    """Take the figures and print them."""
    print(machine(), f"{count} rounds", sep=", ")
    print(header("gorego", "grpcio"), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="gorego-bench-") as name,
        gorego(Path(name)) as ours,
        grpcio() as theirs,
    ):
        for workload in workloads():
            try:
                figures = rounds(workload, (ours, theirs), count, Path(name))
            except LoadError as error:
                print(f"{workload.name}: {error}", flush=True)
            else:
                print(row(workload.name, workload.required, *figures), flush=True)
    print(header("proxy", "directly"), flush=True)
    with tempfile.TemporaryDirectory(prefix="gorego-bench-") as name:
        for line in chain.rows(count, Path(name)):
            print(row(*line), flush=True)


if __name__ == "__main__":
    if H2LOAD is None:
        print("skipped: h2load is not installed (Debian: nghttp2-client)")
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS)
