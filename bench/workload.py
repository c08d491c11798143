"""What is measured: each workload is one line of h2load."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bench import content, h2load
from bench.contestants import Contestant

REAPI = "/build.bazel.remote.execution.v2"
GET_ACTION_RESULT = f"{REAPI}.ActionCache/GetActionResult"
FIND_MISSING_BLOBS = f"{REAPI}.ContentAddressableStorage/FindMissingBlobs"
READ = "/google.bytestream.ByteStream/Read"

#: How long the unary calls of one run go on, in seconds.
DURATION = 2

# Windows beyond what a client in the same place would have to wait for.
WIDE = ("-w", "24", "-W", "26")


class Figure(NamedTuple):
    """What one run showed.

    ``rate`` is requests (or megabytes) per second, ``cpu_micros`` the server's processor
    time for each of them, in microseconds.
    """

    rate: float
    cpu_micros: float


class Workload(NamedTuple):
    """One line of the table.

    ``required`` is how many times grpcio's rate the daemon's rate has to be; 0 is for
    information. ``reply_bytes`` is the DATA of one reply, gRPC's framing included: a server
    that answers anything else is not measured. ``bulk`` counts megabytes (10^6 bytes)
    instead of requests.
    """

    name: str
    path: str
    request: bytes
    reply_bytes: int
    options: tuple[str, ...]
    required: float = 0
    bulk: bool = False

    def measure(self, contestant: Contestant, folder: Path) -> Figure:
        """One run.

        :raises LoadError: a request failed, or was answered with something else.
        """
        body = folder / "body"
        body.write_bytes(self.request)
        before = contestant.cpu_seconds()
        run = h2load.run(contestant.port, self.path, body, *self.options)
        cpu = contestant.cpu_seconds() - before
        if run.data_bytes < run.requests * self.reply_bytes:
            raise h2load.LoadError(
                f"{contestant.name}, {self.name}: {run.data_bytes} bytes of DATA for "
                f"{run.requests} replies of {self.reply_bytes}"
            )
        amount = run.data_bytes / 1e6 if self.bulk else run.requests
        return Figure(amount / run.seconds, cpu / amount * 1e6)


def unary(clients: int, streams: int) -> tuple[str, ...]:
    """h2load's options for so many connections with so many calls in flight on each."""
    return ("-D", str(DURATION), "-c", str(clients), "-m", str(streams))


def hits() -> Workload:
    """Hits in the local tier: 1.0 is as many as without a backing cache behind it."""
    get = content.framed(content.get_action_result())
    hit = len(content.framed(content.action_result()))
    return Workload("GetActionResult hit 8 x 16", GET_ACTION_RESULT, get, hit, unary(8, 16), 0.95)


def workloads() -> list[Workload]:
    """All of them, the required ones first."""
    get = content.framed(content.get_action_result())
    hit = len(content.framed(content.action_result()))
    find = content.framed(content.find_missing_blobs())
    read = content.framed(content.read())
    return [
        Workload("GetActionResult 8 x 16", GET_ACTION_RESULT, get, hit, unary(8, 16), 4),
        Workload("GetActionResult 8 x 1", GET_ACTION_RESULT, get, hit, unary(8, 1), 2.5),
        Workload(
            "Read 64 MiB 2 x 2, MB/s",
            READ,
            read,
            content.BLOB_BYTES,
            ("-n", "24", "-c", "2", "-m", "2", *WIDE),
            0.5,
            bulk=True,
        ),
        Workload("GetActionResult 64 x 1", GET_ACTION_RESULT, get, hit, unary(64, 1)),
        Workload("GetActionResult 4 x 16", GET_ACTION_RESULT, get, hit, unary(4, 16)),
        Workload("FindMissingBlobs of 1,000 4 x 4", FIND_MISSING_BLOBS, find, 5, unary(4, 4)),
    ]
