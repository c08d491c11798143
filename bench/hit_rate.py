"""``python -m bench.hit_rate [SEED ...]``: what is hit of a trace of continuous integration.

Each trace is replayed against exact LRU in memory, the policy of the janitor in the index of a local
tier, and other policies, all with the same capacity: a part of what the trace asks for in all. Then
what the daemon estimates of other limits is compared with what exact LRU has there. A trace has a
hundredth of the entries of a cache that is worth an estimate, so that the sample is given a larger chance.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred

from bench.ci_trace import CITrace, Request, Shape
from bench.policies import GDSF, S3FIFO, Hyperbolic, SizeAwareLRU
from bench.replay import ExactLRU, Replayed, Tier
from bench.sketched import SketchedTier
from gorego_tw.reuse.sketch import LIMITS
from gorego_tw.storage.records import disk_bytes

SHAPES = {
    "many small changes": Shape(days=5),
    "large changes": Shape(days=3, large_change=0.6, targets=1500, builds_per_hour=5),
    "even sizes": Shape(days=4, spread=0.8, toolchain_bytes=1_000_000),
}
PARTS = (0.1, 0.2, 0.3)

#: In ``/dev/shm`` there is no disk that would be measured instead of the policy.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of our own in it

CHANCE = 1 / 8

TITLES = ("exact LRU", "gorego", "LRU x sqrt size", "hyperbolic", "GDSF", "S3-FIFO")
ROW = "{:<24}{:>9}" + "{:>17}" * 6


def asked_bytes(requests: Sequence[Request]) -> int:
    """What all entries take together that are asked for, in bytes."""
    sizes = {entry.key: entry.size_bytes for request in requests for entry in request.entries}
    return sum(map(disk_bytes, sizes.values()))


def replayed(cache: Replayed, requests: Sequence[Request]) -> Replayed:
    """The cache with all of that behind it."""
    cache.replay(requests)
    return cache


def tier(capacity_bytes: int, requests: Sequence[Request]) -> Tier:
    """A local tier with all of that behind it, closed."""
    with tempfile.TemporaryDirectory(prefix="gorego-bench-", dir=MEMORY) as name:
        cache = Tier(capacity_bytes, Path(name))
        cache.replay(requests)
        Deferred.fromCoroutine(cache.close())
    return cache


def estimated(capacity_bytes: int, requests: Sequence[Request]) -> SketchedTier:
    """A local tier that estimates what others would do, closed."""
    with tempfile.TemporaryDirectory(prefix="gorego-bench-", dir=MEMORY) as name:
        cache = SketchedTier(capacity_bytes, Path(name), CHANCE)
        cache.replay(requests)
        Deferred.fromCoroutine(cache.close())
    return cache


def policies(name: str, seed: int) -> Iterator[str]:
    """The hit ratios of all of them, by requests and by bytes, in percent."""
    requests = list(CITrace(seed, SHAPES[name]).requests())
    total = asked_bytes(requests)
    for part in PARTS:
        capacity = int(total * part)
        caches = [replayed(ExactLRU(capacity), requests), tier(capacity, requests)]
        caches += [
            replayed(make(capacity), requests) for make in (SizeAwareLRU, Hyperbolic, GDSF, S3FIFO)
        ]
        ratios = [f"{100 * c.hit_ratio:.2f} {100 * c.byte_hit_ratio:.2f}" for c in caches]
        yield ROW.format(f"{name}, {seed}", f"{part:.0%}", *ratios)


def estimates(name: str, seed: int) -> Iterator[str]:
    """What is estimated of each limit, and what is true, in percent."""
    requests = list(CITrace(seed, SHAPES[name]).requests())
    capacity = int(asked_bytes(requests) * PARTS[1])
    sketch = estimated(capacity, requests).sketch
    true = [replayed(ExactLRU(int(limit * capacity)), requests) for limit in LIMITS]
    for kind, counts in ((True, sketch.actions), (False, sketch.blobs)):
        ratios = [
            f"{100 * ratio:.1f} {100 * cache.found[kind] / cache.looked_up[kind]:.1f}"
            for ratio, cache in zip(counts.hit_ratios(), true, strict=True)
        ]
        yield ROW.format(name, "actions" if kind else "blobs", *ratios, f"of {len(sketch)}", "")


def main(seeds: Sequence[int]) -> None:
    """Take the figures and print them."""
    print(ROW.format("hits: % requests, bytes", "capacity", *TITLES), flush=True)
    for name in SHAPES:
        for seed in seeds:
            for row in policies(name, seed):
                print(row, flush=True)
    titles = [*(f"{limit:g} limit" for limit in LIMITS), "samples", ""]
    print(ROW.format("estimated, true %", "lookups", *titles), flush=True)
    for name in SHAPES:
        for row in estimates(name, seeds[0]):
            print(row, flush=True)


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [1])
