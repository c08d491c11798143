"""``python -m bench [ROUNDS]``: runs every workload against both servers by turns.

Then a trace is replayed against the policy of eviction, which takes a few minutes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench import at_rest, chain, hit_rate, telemetry
from bench.chain import by_turns
from bench.contestants import gorego, grpcio
from bench.h2load import H2LOAD, LoadError
from bench.table import header, machine, row
from bench.workload import workloads

ROUNDS = 5


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
                print(row(*by_turns(workload, ours, theirs, count, Path(name))), flush=True)
            except LoadError as error:
                print(f"{workload.name}: {error}", flush=True)
    for titles, rows in (
        (("proxy", "directly"), chain.rows),
        (("telemetry", "without"), telemetry.rows),
        (("zstd", "none"), at_rest.rows),
    ):
        print(header(*titles), flush=True)
        with tempfile.TemporaryDirectory(prefix="gorego-bench-") as name:
            for line in rows(count, Path(name)):
                print(row(*line), flush=True)


if __name__ == "__main__":
    if H2LOAD is None:
        print("skipped: h2load is not installed (Debian: nghttp2-client)")
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS)
    hit_rate.main([1])
