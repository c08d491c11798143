"""What a proxy adds: the same asked of a daemon before a backing cache, and without it in between."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench import content, h2load
from bench.contestants import Contestant, fill
from bench.workload import READ, Figure, Workload, hits
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from tests.end_to_end.backing import Backing
from tests.end_to_end.client import Client, write_name, write_requests
from tests.end_to_end.daemon import Daemon

#: Links, and what they carry of blobs, in bytes per second.
LINKS = {"1 Gbit/s": 115e6, "2.5 Gbit/s": 290e6}


class ColdRead(NamedTuple):
    """Each blob is read once through the proxy, which does not have it, and once directly.

    ``blobs`` are in the backing cache; each round takes the next.
    """

    name: str
    blobs: Iterator[bytes]
    required: float = 0.8
    bulk: bool = True

    def measure(
        self, through: Contestant, direct: Contestant, folder: Path, *, proxy_first: bool
    ) -> tuple[Figure, Figure]:
        """One round: the figures through the proxy and directly.

        :raises LoadError: a read failed.
        """
        blob = next(self.blobs)
        order = (through, direct) if proxy_first else (direct, through)
        figures = {contestant.name: _read(contestant, blob, folder) for contestant in order}
        return figures[through.name], figures[direct.name]


def _read(contestant: Contestant, blob: bytes, folder: Path) -> Figure:
    digest = content.digest_of(blob)
    name = f"{content.INSTANCE_NAME}/blobs/{digest.hash}/{digest.size_bytes}"
    body = folder / "body"
    body.write_bytes(content.framed(bytestream.ReadRequest(resource_name=name)))
    before = contestant.cpu_seconds()
    run = h2load.run(contestant.port, READ, body, "-n", "1", "-c", "1", "-w", "24", "-W", "26")
    if run.data_bytes < len(blob):
        raise h2load.LoadError(f"{contestant.name}: {run.data_bytes} bytes of {len(blob)}")
    megabytes = len(blob) / 1e6
    cpu = contestant.cpu_seconds() - before
    return Figure(megabytes / run.seconds, cpu / megabytes * 1e6)


def blobs(count: int, size: int) -> list[bytes]:
    """Blobs that differ in their first megabyte."""
    rest = content.large_blob()[content.PIECE_BYTES : size]
    return [content.some_bytes(f"cold {n}", content.PIECE_BYTES) + rest for n in range(count)]


@contextmanager
def daemon(folder: Path, name: str, target: str = "", **telemetry: str) -> Iterator[Contestant]:
    """A daemon with what the hits need, before a backing cache if there is a target.

    :param telemetry: keys of that section, in capitals.
    """
    folder.mkdir()
    settings = {f"GOREGO_TELEMETRY_{key}": value for key, value in telemetry.items()}
    if target:
        settings["GOREGO_BACKING_CACHE_TARGET"] = target
    running = Daemon(folder, **settings)
    try:
        running.start()
        with running.client() as client:
            fill(client)
        yield Contestant(name, int(running.target.rpartition(":")[2]), running.process.pid)
        running.stop()
    finally:
        running.kill()


def upload(port: int, data: list[bytes]) -> None:
    """Put blobs into a daemon."""
    client = Client(f"127.0.0.1:{port}")
    for blob in data:
        name = write_name(content.digest_of(blob), content.INSTANCE_NAME)
        client.byte_stream.Write(write_requests(name, blob))
    client.close()


class Row(NamedTuple):
    """One line: what was measured, through the proxy and directly."""

    name: str
    required: float
    through: list[Figure]
    direct: list[Figure]


def rows(count: int, folder: Path) -> Iterator[Row]:
    """All lines, of so many rounds each."""
    with ExitStack() as stack:
        backing = stack.enter_context(daemon(folder / "backing", "direct"))
        front = stack.enter_context(
            daemon(folder / "front", "through", f"grpc://127.0.0.1:{backing.port}")
        )
        cold = blobs(count, content.BLOB_BYTES)
        upload(backing.port, cold)
        yield _cold_row(
            ColdRead("cold Read 64 MiB, loopback, MB/s", iter(cold)), front, backing, count, folder
        )
        yield by_turns(hits(), front, backing, count, folder)
        for link, bytes_per_second in LINKS.items():
            yield _linked_row(link, bytes_per_second, cold, folder)


def _linked_row(link: str, bytes_per_second: float, cold: list[bytes], folder: Path) -> Row:
    """Cold reads where the backing cache is at the other end of a link."""
    with ExitStack() as stack:
        slow = Backing()
        stack.callback(slow.close)
        slow.script.bytes_per_second = bytes_per_second
        for blob in cold:
            slow.keep(blob)
        front = stack.enter_context(
            daemon(folder / f"front {bytes_per_second:.0f}", "through", slow.target)
        )
        direct = Contestant("direct", slow.port, os.getpid())
        read = ColdRead(f"cold Read 64 MiB, {link}, MB/s", iter(cold))
        return _cold_row(read, front, direct, len(cold), folder)


def _cold_row(
    read: ColdRead, through: Contestant, direct: Contestant, count: int, folder: Path
) -> Row:
    _settle(folder, 6 * count * content.BLOB_BYTES)  # not all of it is what the blobs get
    rounds = [
        read.measure(through, direct, folder, proxy_first=number % 2 == 0)
        for number in range(count)
    ]
    return Row(read.name, read.required, [ours for ours, _ in rounds], [one for _, one in rounds])


def _settle(folder: Path, size: int) -> None:
    """Leave nothing to be written, and memory for so many bytes of files that the machine has in its hands.

    A virtual one gets memory from its host page by page when it first writes there: ten times what writing costs.
    """
    os.sync()
    file = folder / "room"
    with file.open("wb", buffering=0) as room:
        for _ in range(0, size, content.PIECE_BYTES):
            room.write(bytes(content.PIECE_BYTES))
    file.unlink()


def by_turns(
    workload: Workload, ours: Contestant, theirs: Contestant, count: int, folder: Path
) -> Row:
    """One line; who begins changes with each round."""
    figures: dict[Contestant, list[Figure]] = {ours: [], theirs: []}
    for number in range(count):
        for contestant in (ours, theirs)[:: -1 if number % 2 else 1]:
            figures[contestant].append(workload.measure(contestant, folder))
    return Row(workload.name, workload.required, figures[ours], figures[theirs])
