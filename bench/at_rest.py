"""What compression at rest costs and brings: the same asked of a daemon that compresses, and of one that does not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple
from urllib.request import urlopen

from bench import content, h2load
from bench.chain import Row
from bench.contestants import Contestant
from bench.workload import READ, WIDE, Figure
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from gorego_tw.storage.holes import taken_bytes
from tests.end_to_end.client import Client, write_name, write_requests
from tests.end_to_end.daemon import Daemon, eventually, free_port

#: Where blobs like those of builds are found: programs, libraries, headers, texts, archives.
ROOTS = ("/usr/bin", "/usr/lib", "/usr/include", "/usr/share")
SAMPLE_BYTES = 256 << 20
MOST_FILE_BYTES = 16 << 20

#: What is read of the large blob at once where reads begin anywhere, in bytes.
PART_BYTES = 64 << 10

#: How many small blobs each round uploads, and how large they are, in bytes.
SMALL_BLOBS = 1000
SMALL_BYTES = 30_000

_WAITING = "gorego_compression_waiting_blobs"


class Store(NamedTuple):
    """A daemon, with what it is asked."""

    contestant: Contestant
    client: Client
    folder: Path
    metrics_port: int

    def settle(self) -> None:
        """Wait until nothing waits for being compressed."""
        eventually(self._is_settled, "all is compressed", 120)
        time.sleep(0.5)  # the last one is not waiting any more, it is being compressed

    def _is_settled(self) -> bool:
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as page:
            lines = page.read().decode().splitlines()
        return all(not line.startswith(_WAITING) or line.endswith(" 0.0") for line in lines)


class Reading(NamedTuple):
    """Reads of one blob, or of parts of it; ``least_bytes`` is what a reply has at least."""

    name: str
    kind: str
    offset: int
    limit: int
    least_bytes: int
    options: tuple[str, ...]

    def measure(self, store: Store, blob: bytes) -> Figure:
        """One run: megabytes of the blob per second, however few bytes they are on the way."""
        digest = content.digest_of(blob)
        request = bytestream.ReadRequest(
            resource_name=f"{self.kind}/{digest.hash}/{digest.size_bytes}",
            read_offset=self.offset,
            read_limit=self.limit,
        )
        body = store.folder / "body"
        body.write_bytes(content.framed(request))
        before = store.contestant.cpu_seconds()
        run = h2load.run(store.contestant.port, READ, body, *self.options)
        cpu = store.contestant.cpu_seconds() - before
        if run.data_bytes < run.requests * self.least_bytes:
            raise h2load.LoadError(f"{self.name}: {run.data_bytes} bytes of DATA")
        megabytes = run.requests * (self.limit or len(blob) - self.offset) / 1e6
        return Figure(megabytes / run.seconds, cpu / megabytes * 1e6)


def readings(size: int) -> list[Reading]:
    """Of a blob of that size."""
    bulk, middle = ("-n", "16", "-c", "2", "-m", "2", *WIDE), size // 2 + 100_000
    parts = ("-n", "3000", "-c", "4", "-m", "4", *WIDE)
    zstd = "compressed-blobs/zstd"
    return [
        Reading("Read 64 MiB, MB/s", "blobs", 0, 0, size, bulk),
        Reading("Read 64 MiB as zstd, MB/s", zstd, 0, 0, size // 20, bulk),
        Reading("Read 64 KiB of them, MB/s", "blobs", middle, PART_BYTES, PART_BYTES, parts),
        Reading("Read the last MiB as zstd, MB/s", zstd, size - (1 << 20) - 1, 0, 9, parts),
    ]


def sample() -> list[bytes]:
    """Files of this machine, SAMPLE_BYTES together; the same ones each time."""
    paths = sorted(
        path
        for root in ROOTS
        for folder, _, names in os.walk(root)
        for path in (Path(folder) / name for name in names)
        if path.is_file() and not path.is_symlink() and 0 < path.stat().st_size < MOST_FILE_BYTES
    )
    Random(1).shuffle(paths)
    files, total = [], 0
    for path in paths:
        if total < SAMPLE_BYTES and os.access(path, os.R_OK):
            files.append(path.read_bytes())
            total += len(files[-1])
    return files


def small_blobs(number: int) -> list[bytes]:
    """Texts that nobody has yet, the same for the same number."""
    words = Path(__file__).read_text(encoding="utf-8").split()
    random = Random(number)
    return [
        " ".join(random.choices(words, k=6000)).encode()[:SMALL_BYTES] for _ in range(SMALL_BLOBS)
    ]


def upload(store: Store, blobs: list[bytes]) -> Figure:
    """Put small blobs: per second until the answer, and the processor time until all is compressed."""
    before, started = store.contestant.cpu_seconds(), time.monotonic()
    for at in range(0, len(blobs), 50):
        store.client.batch_update(*blobs[at : at + 50])
    seconds = time.monotonic() - started
    store.settle()
    cpu = store.contestant.cpu_seconds() - before
    return Figure(len(blobs) / seconds, cpu / len(blobs) * 1e6)


def space(store: Store, blobs: list[bytes]) -> Figure:
    """Put blobs: how many of their bytes are in 1,000 bytes of the disk, and what that took for each MB."""
    before, cpu = taken(store.folder), store.contestant.cpu_seconds()
    for blob in blobs:
        name = write_name(content.digest_of(blob), content.INSTANCE_NAME)
        store.client.byte_stream.Write(write_requests(name, blob))
    store.settle()
    total = sum(map(len, set(blobs)))
    cpu = store.contestant.cpu_seconds() - cpu
    return Figure(total / (taken(store.folder) - before) * 1000, cpu / total * 1e12)


def taken(folder: Path) -> int:
    """What the files of a cache take of the disk, in bytes."""
    return sum(taken_bytes(path) for path in folder.rglob("*") if path.is_file())


@contextmanager
def store(folder: Path, compression: str) -> Iterator[Store]:
    """A daemon that keeps blobs so."""
    folder.mkdir()
    port = free_port()
    daemon = Daemon(
        folder,
        GOREGO_LOCAL_CACHE_COMPRESSION=compression,
        GOREGO_TELEMETRY_METRICS_ADDR=f"127.0.0.1:{port}",
    )
    try:
        daemon.start()
        with daemon.client() as client:
            address = int(daemon.target.rpartition(":")[2])
            yield Store(Contestant(compression, address, daemon.process.pid), client, folder, port)
        daemon.stop()
    finally:
        daemon.kill()


def rows(count: int, folder: Path) -> Iterator[Row]:
    """All lines, of so many rounds each."""
    with ExitStack() as stack:
        both = [stack.enter_context(store(folder / form, form)) for form in ("zstd", "none")]
        files = sample()
        yield Row("bytes in 1,000 of disk", 0, *([space(one, files)] for one in both))
        blob = b"".join(files)[: content.BLOB_BYTES]
        for one in both:
            space(one, [blob])
        for reading in readings(len(blob)):
            yield _row(reading.name, [_round(reading, both, blob, n) for n in range(count)])
        uploads = [[upload(one, small_blobs(n)) for one in both] for n in range(count)]
        yield _row("upload blobs of 30 KB", uploads)


def _round(reading: Reading, both: list[Store], blob: bytes, number: int) -> list[Figure]:
    order = both[:: -1 if number % 2 else 1]
    figures = [reading.measure(one, blob) for one in order]
    return figures[:: -1 if number % 2 else 1]


def _row(name: str, rounds: list[list[Figure]]) -> Row:
    ours, theirs = zip(*rounds, strict=True)
    return Row(name, 0, list(ours), list(theirs))
