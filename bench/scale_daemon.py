"""The same asked of a daemon, with nothing else to do and while it evicts all the time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import nan
from pathlib import Path
from random import Random
from time import monotonic, perf_counter

import grpc

from bench.scale_content import Content
from gorego_tw.interfaces import ActionKey
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import Client
from tests.end_to_end.daemon import Daemon

#: How many action results are asked for, again and again.
HOT = 200

#: How many are tried for that: most may have been evicted by an earlier measurement.
MOST = 1_000

#: For how long, in seconds.
SECONDS = 4.0

#: Limits in GB: one that no size reaches, and one that each is far beyond.
QUIET, EVICTING = "200", "0.01"

_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(?P<path>.*)$")


def resident_bytes(pid: int) -> int:
    """What is resident of a process, without what is mapped from the index (proc(5), smaps)."""
    kilobytes, counts = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if (mapping := _MAPPING.match(line)) is not None:
            counts = not mapping["path"].endswith("/data.mdb")
        elif counts and line.startswith("Rss:"):
            kilobytes += int(line.split()[1])
    return kilobytes * 1024


def figures(folder: Path, content: Content) -> Iterator[tuple[str, float]]:
    """The figures of both, under their names. It evicts from the folder, so this comes last."""
    before = perf_counter()
    with running(folder, QUIET) as (daemon, client):
        yield "daemon: start-up, ms", (perf_counter() - before) * 1e3
        p50, p99 = _latencies(client, content)
        yield "daemon: hit p50, µs", p50
        yield "daemon: hit p99, µs", p99
        yield "daemon: resident without index, MB", resident_bytes(daemon.process.pid) / 1e6
    # What was asked for just now is the last to go.
    with running(folder, EVICTING) as (_, client):
        p50, p99 = _latencies(client, content)
        yield "daemon evicting: hit p50, µs", p50
        yield "daemon evicting: hit p99, µs", p99


@contextmanager
def running(folder: Path, limit: str) -> Iterator[tuple[Daemon, Client]]:
    """A daemon on that folder, and a client of it."""
    daemon = Daemon(folder, GOREGO_LOCAL_CACHE_MAX_SIZE_GB=limit)
    try:
        daemon.start()
        with daemon.client() as client:
            yield daemon, client
        daemon.stop()
    finally:
        daemon.kill()


def _latencies(client: Client, content: Content) -> tuple[float, float]:
    """The median and the 99th percentile of hits, one after the other, in microseconds."""
    random = Random(1)
    some = [_request(content.action(random.randrange(content.count))) for _ in range(MOST)]
    hot = [request for request in some if _seconds(client, request) is not None][:HOT]
    taken: list[float] = []
    end = monotonic() + SECONDS
    while monotonic() < end and hot:
        for request in hot:
            seconds = _seconds(client, request)
            if seconds is None:  # nothing else was left to be evicted
                return _quantiles(taken)
            taken.append(seconds)
    return _quantiles(taken)


def _seconds(client: Client, request: reapi.GetActionResultRequest) -> float | None:
    """How long a hit took; None if it was none."""
    before = perf_counter()
    try:
        client.action_cache.GetActionResult(request)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return None
    return perf_counter() - before


def _quantiles(seconds: list[float]) -> tuple[float, float]:
    if not seconds:
        return nan, nan
    taken = sorted(seconds)
    return taken[len(taken) // 2] * 1e6, taken[len(taken) * 99 // 100] * 1e6


def _request(key: ActionKey) -> reapi.GetActionResultRequest:
    digest = reapi.Digest(hash=key.action.key[1:].hex(), size_bytes=key.action.size_bytes)
    return reapi.GetActionResultRequest(instance_name=key.instance_name, action_digest=digest)
