"""``python -m bench.scale [FOLDER] [ENTRIES ...]``: what the local tier costs, by how much is in it.

Half of the entries are blobs of some 100 bytes, half are action results that refer to three of
them. One folder grows from the first size to the last; each is measured in a process of its own.

Times of the stores are processor time of the thread, so that whoever else uses the machine does not
count; the index is held in memory. Those of the daemon, and of starts, are by the clock
on the wall: a start looks at the index for as long as it may, which is a time of that kind.
Checkpoints are taken as often as a daemon takes them, and not counted: there a thread does most of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter, thread_time, time
from typing import Any, TypeVar

from twisted.internet.task import Clock

from bench import scale_daemon
from bench.held import held
from bench.scale_content import Content
from bench.scale_daemon import QUESTION, quantiles
from bench.table import machine
from gorego_tw.body import BytesBody
from gorego_tw.cache import Cache, local_cache
from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.eviction.janitor import REST_SECONDS, Janitor
from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.storage.holes import taken_bytes
from gorego_tw.storage.last_use import MOST_PENDING
from gorego_tw.storage.page_table import PageTable
from gorego_tw.storage.tier import LocalTier

SIZES = (100_000, 1_000_000, 10_000_000)

#: What the tier may take; no size comes near it.
LIMIT_BYTES = 1 << 40

STARTS = 5
HITS = 20_000
WARMING = 5
QUESTIONS = 60  # so many uses wait to be written without being due
INSERTS = 10_000
EVICTING_SECONDS = 3.0
_HIT_SHARE = 8  # while evicting, hits after each slice

T = TypeVar("T")

#: What may grow from the first column to the last, and how many times (of memory: by how much, in MB).
REQUIRED = {
    "start-up, ms": 1.5,
    "hit p50, µs": 2.0,
    "hit p99, µs": 2.0,
    "FindMissingBlobs of 1,000 p50, µs": 2.0,
    "FindMissingBlobs of 1,000 p99, µs": 2.0,
    "inserts per second": 0.5,
    "evictions per second": 0.5,
    "evicting: hit p50, µs": 2.0,
    "evicting: hit p99, µs": 2.0,
    "resident without index, MB": 52.4,
    "daemon: start-up, ms": 1.5,
    "daemon: hit p50, µs": 2.0,
    "daemon: hit p99, µs": 2.0,
    "daemon: FindMissingBlobs of 1,000 p50, µs": 2.0,
    "daemon: FindMissingBlobs of 1,000 p99, µs": 2.0,
}

#: How many times the one may be the other, at every size.
EVICTING_P99, QUIET_P99 = "daemon evicting: hit p99, µs", "daemon: hit p99, µs"
SLOWED_BY = 2.0


class WallClock(Clock):
    """The real time; calls are made when it is asked to look."""

    def seconds(self) -> float:
        """In seconds since the epoch."""
        return time()


def finished(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("it waits for something")


def resident_bytes() -> int:
    """What is resident of this process, without what is mapped from the index (proc(5), smaps)."""
    return scale_daemon.resident_bytes(os.getpid())


def open_tier(folder: Path) -> LocalTier:
    """The tier of that folder."""
    return LocalTier.open(
        folder,
        limit_bytes=LIMIT_BYTES,
        free_reserve_bytes=0,
        clock=WallClock(),
        threads=NoDiskThreads(),
    )


def checkpoint(tier: LocalTier) -> None:
    """Take one, as if it was time."""
    finished(tier.checkpoint())


def keep_up(tier: LocalTier) -> None:
    """Take a checkpoint if there was so much to write that a daemon would not wait for its time."""
    if tier.checkpoints.due:
        checkpoint(tier)


def write_uses(tier: LocalTier) -> None:
    """Write all last uses, so that none has to be while something else is measured."""
    while len(tier.last_use):  # a flush begun before writes but what it began with
        finished(tier.flush())


class Measurement:
    """The figures of one size, under their names.

    :param folder: of a tier with that many entries.
    """

    def __init__(self, folder: Path, entries: int) -> None:
        self._folder = folder
        self._content = Content(entries)
        self._random = Random()

    def figures(self) -> Iterator[tuple[str, float]]:
        """All of them, in the order of the table."""
        yield "start-up, ms", self._start_seconds() * 1e3
        tier = open_tier(self._folder)
        cache = local_cache(tier)
        PageTable(
            self._folder / "index" / "data.mdb", tier.threads
        ).startService()  # as a daemon does
        self._hits(tier, cache, HITS // 4)
        p50, p99 = min(quantiles(self._hits(tier, cache, HITS)) for _ in range(3))
        yield "hit p50, µs", p50
        yield "hit p99, µs", p99
        p50, p99 = min(quantiles(self._questions(tier, cache)) for _ in range(3))
        yield "FindMissingBlobs of 1,000 p50, µs", p50
        yield "FindMissingBlobs of 1,000 p99, µs", p99
        yield "inserts per second", INSERTS / min(self._inserts(tier, cache) for _ in range(3))
        yield "resident without index, MB", resident_bytes() / 1e6
        evictions, hits = self._evicting(tier, cache)
        p50, p99 = quantiles(hits)
        yield "evictions per second", evictions
        yield "evicting: hit p50, µs", p50
        yield "evicting: hit p99, µs", p99
        finished(tier.close())
        index = self._folder / "index" / "data.mdb"
        yield "index file, MB", taken_bytes(index) / 1e6

    def _start_seconds(self) -> float:
        taken = []
        for _ in range(STARTS):
            before = perf_counter()
            tier = open_tier(self._folder)
            taken.append(perf_counter() - before)
            finished(tier.close())
        return min(taken)

    def _hits(self, tier: LocalTier, cache: Cache, count: int) -> list[float]:
        write_uses(tier)
        keys = [self._content.action(n) for n in self._numbers(count)]
        taken = []
        for key in keys:
            before = thread_time()
            finished(cache.action_results.get(key))
            taken.append(thread_time() - before)
        return taken

    def _questions(self, tier: LocalTier, cache: Cache) -> list[float]:
        write_uses(tier)
        for _ in range(WARMING):
            finished(cache.blobs.find_missing(self._digests()))
        taken = []
        for _ in range(QUESTIONS):
            assert len(tier.last_use) < MOST_PENDING // 2, len(tier.last_use)
            digests = self._digests()
            before = thread_time()
            missing = finished(cache.blobs.find_missing(digests))
            taken.append(thread_time() - before)
            assert not missing
        return taken

    def _inserts(self, tier: LocalTier, cache: Cache) -> float:
        """How long it takes to put new blobs, in seconds: each its own transaction."""
        blobs: list[tuple[Digest, bytes]] = []
        for _ in range(INSERTS):
            data = self._random.randbytes(100)
            blobs.append((digest_of(data, DigestFunction.SHA256), data))
        taken = 0.0
        for digest, data in blobs:
            before = thread_time()
            finished(cache.blobs.put(digest, BytesBody(data)))
            taken += thread_time() - before
            keep_up(tier)
        return taken

    def _evicting(self, tier: LocalTier, cache: Cache) -> tuple[float, list[float]]:
        """Evictions per second, and how long hits took in between, in seconds."""
        janitor = Janitor(tier, self._random)
        hot = [self._content.action(n) for n in self._numbers(HITS // 20)]
        finished(tier.flush())  # so that the uses of those that follow are noted
        tier.last_use.now += 1  # later than all that was asked for before
        for key in hot:
            finished(cache.action_results.get(key))
        janitor.running = 1
        tier.space.limit_bytes = tier.space.used_bytes // 2
        tier.space.headroom_bytes = 0
        work = janitor.make_room()
        waited: object = True
        taken, evicting = [], 0.0
        # Half of them at most, of the fewest entries: those that are asked for are to stay.
        most = self._content.count // 2
        while evicting < EVICTING_SECONDS and janitor.evicted_entries < most and waited is not None:
            before = thread_time()
            tier.clock.advance(REST_SECONDS)  # type: ignore[attr-defined]  # ours
            try:
                waited = work.send(None)
            except StopIteration:
                waited = None
            evicting += thread_time() - before
            keep_up(tier)
            for key in self._random.choices(hot, k=_HIT_SHARE):
                before = thread_time()
                finished(cache.action_results.get(key))
                taken.append(thread_time() - before)
        work.close()
        return janitor.evicted_entries / evicting, taken

    def _digests(self) -> list[Digest]:
        return [self._content.blob(n)[0] for n in self._numbers(QUESTION)]

    def _numbers(self, count: int) -> list[int]:
        return [self._random.randrange(self._content.count) for _ in range(count)]


def measured(folder: Path, entries: int) -> dict[str, float]:
    """The figures of one size, taken in another process, and those of a daemon."""
    index = folder / "cache" / "index" / "data.mdb"
    content = Content(entries)
    with held(index) as is_held:
        if not is_held:
            print(
                "the index may not be held in memory: more counts than what the store does",
                flush=True,
            )
        questions = dict(scale_daemon.question_figures(folder, content))
    with held(index):
        done = subprocess.run(
            [sys.executable, "-m", "bench.scale", "measure", str(folder / "cache"), str(entries)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
        )
    figures: dict[str, float] = json.loads(done.stdout)
    with held(index):
        return figures | questions | dict(scale_daemon.figures(folder, content))


def verdict(name: str, first: float, last: float) -> str:
    """How a figure grew, and whether it may."""
    if name not in REQUIRED:
        return ""
    bound = REQUIRED[name]
    if name.startswith("resident"):
        good, text = last - first <= bound, f"+{last - first:.1f} (<= {bound:g})"
    elif name.endswith("per second"):
        good, text = last >= first * bound, f"x {last / first:.2f} (>= {bound:g})"
    else:
        good, text = last <= first * bound, f"x {last / first:.2f} (<= {bound:g})"
    return f"{text} {_reached(good)}"


def slowed(columns: list[dict[str, float]]) -> str:
    """How much longer hits of a daemon take while it evicts, in each column, and whether they may."""
    times = [column[EVICTING_P99] / column[QUIET_P99] for column in columns]
    cells = "".join(f"{f'x {time:.2f}':>14}" for time in times)
    good = max(times) <= SLOWED_BY
    return f"{'daemon evicting: hit p99 / quiet':<40}{cells}   (<= {SLOWED_BY:g}) {_reached(good)}"


def _reached(good: object) -> str:
    return "reached" if good else "SHORT"


def main(folder: Path, sizes: tuple[int, ...]) -> None:
    """Grow the folder, take the figures and print them."""
    print(machine(), flush=True)
    columns = []
    for size in sizes:
        began = perf_counter()
        tier = open_tier(folder / "cache")
        Content(size).fill(tier.index, partial(checkpoint, tier))
        finished(tier.close())
        print(f"{size:,} entries: built in {perf_counter() - began:.0f} s", flush=True)
        columns.append(measured(folder, size))
        for name, figure in columns[-1].items():
            print(f"    {name:<40}{figure:>14,.1f}", flush=True)
    print(f"{'':<40}" + "".join(f"{size:>14,}" for size in sizes))
    for name in columns[0]:
        figures = [column.get(name, float("nan")) for column in columns]
        cells = "".join(f"{figure:>14,.1f}" for figure in figures)
        print(f"{name:<40}{cells}   {verdict(name, figures[0], figures[-1])}", flush=True)
    print(slowed(columns), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(dict(Measurement(Path(sys.argv[2]), int(sys.argv[3])).figures())))
    elif sys.argv[1:]:
        main(Path(sys.argv[1]), tuple(map(int, sys.argv[2:])) or SIZES)
    else:
        with tempfile.TemporaryDirectory(prefix="gorego-scale-") as name:
            main(Path(name), SIZES)
