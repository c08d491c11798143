"""The same asked of a daemon, with nothing else to do and while it evicts all the time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic, perf_counter, sleep

import grpc

from bench.scale_content import Content
from gorego_tw.interfaces import ActionKey
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import Client
from tests.end_to_end.daemon import Daemon, eventually, free_port
from tests.end_to_end.pages import metric

#: How many action results are asked for, again and again.
HOT = 200

#: How many are tried for that: most may have been evicted by an earlier measurement.
MOST = 1_000

#: For how long, in rounds and seconds. While it evicts, not until more than so much of the entries is
#: gone, and with a look at what it has evicted after each round.
ROUNDS = 9
ROUND_SECONDS = 0.5
MOST_EVICTED_SHARE = 1 / 3

#: How many questions are asked in each of so many rounds, and for how many blobs each. Every round has a
#: daemon of its own, that had some seconds to fill its page table: so many uses wait to be written and
#: are not due. The first ones do not count.
QUESTION_ROUNDS = 5
QUESTIONS = 90
QUESTION = 1_000
WARMING = 10
SETTLING_SECONDS = 3.0

#: A limit that no size reaches, in GB. What evicts has half of what is used: it goes on for as long as is measured,
#: and what depends on the limit, as how often checkpoints are taken, is as with so many entries.
QUIET = "200"

USED = "gorego_disk_usage_bytes"
EVICTED = 'gorego_janitor_evictions_total{unit="files"}'

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


def quantiles(seconds: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile, in microseconds."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2] * 1e6, ordered[len(ordered) * 99 // 100] * 1e6


def figures(folder: Path, content: Content) -> Iterator[tuple[str, float]]:
    """The figures of both, under their names. It evicts from the folder, so this comes last."""
    before = perf_counter()
    with running(folder, QUIET) as (daemon, client):
        yield "daemon: start-up, ms", (perf_counter() - before) * 1e3
        p50, p99 = _quiet(client, content)
        yield "daemon: hit p50, µs", p50
        yield "daemon: hit p99, µs", p99
        yield "daemon: resident without index, MB", resident_bytes(daemon.process.pid) / 1e6
        half = metric(daemon, USED) / 2e9
    with running(folder, f"{half:.3f}") as (daemon, client):
        evictions, p50, p99 = _evicting(daemon, client, content)
        yield "daemon evicting: evictions per second", evictions
        yield "daemon evicting: hit p50, µs", p50
        yield "daemon evicting: hit p99, µs", p99


def question_figures(folder: Path, content: Content) -> Iterator[tuple[str, float]]:
    """Those of questions for many blobs, while all of them are there."""
    rounds = []
    for _ in range(QUESTION_ROUNDS):
        os.sync()  # what the daemon before has written at its end
        with running(folder, QUIET) as (_, client):
            sleep(SETTLING_SECONDS)
            rounds.append(_questions(client, content))
    p50, p99 = _medians(rounds)
    yield "daemon: FindMissingBlobs of 1,000 p50, µs", p50
    yield "daemon: FindMissingBlobs of 1,000 p99, µs", p99


@contextmanager
def running(folder: Path, limit: str) -> Iterator[tuple[Daemon, Client]]:
    """A daemon on that folder, and a client of it."""
    daemon = Daemon(folder, GOREGO_LOCAL_CACHE_MAX_SIZE_GB=limit)
    daemon.metrics_addr = f"127.0.0.1:{free_port()}"
    try:
        daemon.start()
        with daemon.client() as client:
            yield daemon, client
        daemon.stop()
    finally:
        daemon.kill()


def _hot(client: Client, content: Content) -> list[reapi.GetActionResultRequest]:
    """Requests that are hits; what was asked for just now is the last to go."""
    random = Random(1)
    some = [_request(content.action(random.randrange(content.count))) for _ in range(MOST)]
    return [request for request in some if _seconds(client, request) is not None][:HOT]


def _round(client: Client, hot: list[reapi.GetActionResultRequest]) -> tuple[float, float]:
    """The median and the 99th percentile of hits, one after the other, in microseconds."""
    taken: list[float] = []
    end = monotonic() + ROUND_SECONDS
    while monotonic() < end:
        for request in hot:
            seconds = _seconds(client, request)
            assert seconds is not None, "evicted, though it is in use"
            taken.append(seconds)
    return quantiles(taken)


def _quiet(client: Client, content: Content) -> tuple[float, float]:
    """The same of all rounds: of each the median, since others may have used the machine."""
    hot = _hot(client, content)
    return _medians([_round(client, hot) for _ in range(ROUNDS)])


def _questions(client: Client, content: Content) -> tuple[float, float]:
    """The same of questions for many blobs that are there: other ones each time."""
    random = Random()
    taken = []
    for _ in range(QUESTIONS):
        request = reapi.FindMissingBlobsRequest()
        for _ in range(QUESTION):
            digest, _ = content.blob(random.randrange(content.count))
            request.blob_digests.add(hash=digest.hash, size_bytes=digest.size_bytes)
        before = perf_counter()
        answer = client.cas.FindMissingBlobs(request)
        taken.append(perf_counter() - before)
        assert not answer.missing_blob_digests
    return quantiles(taken[WARMING:])


def _evicting(daemon: Daemon, client: Client, content: Content) -> tuple[float, float, float]:
    """Evictions per second, and the same of hits meanwhile."""
    hot = _hot(client, content)
    eventually(lambda: metric(daemon, EVICTED), "it evicts")
    began, first = monotonic(), metric(daemon, EVICTED)
    before, most = first, first + MOST_EVICTED_SHARE * 2 * content.count
    rounds: list[tuple[float, float]] = []
    while len(rounds) < ROUNDS and before < most:
        rounds.append(_round(client, hot))
        evicted = metric(daemon, EVICTED)
        assert evicted > before, "it does not evict all the time"
        before = evicted
    return (before - first) / (monotonic() - began), *_medians(rounds)


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


def _medians(rounds: list[tuple[float, float]]) -> tuple[float, float]:
    p50, p99 = zip(*rounds, strict=True)
    return median(p50), median(p99)


def _request(key: ActionKey) -> reapi.GetActionResultRequest:
    digest = reapi.Digest(hash=key.action.key[1:].hex(), size_bytes=key.action.size_bytes)
    return reapi.GetActionResultRequest(instance_name=key.instance_name, action_digest=digest)
