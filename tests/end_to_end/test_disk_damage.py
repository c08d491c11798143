"""A daemon whose disk gives other bytes than were written, below files that nobody has touched."""

from __future__ import annotations

import random
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import grpc

from tests.end_to_end.client import Client, digest_of, read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually, free_port
from tests.end_to_end.file_systems import MIB, Disk
from tests.end_to_end.test_compression import COMPRESSION, ZSTD, text


class DiskDamageTestCase(DaemonTestCase):
    """Has a daemon on such a disk.

    :ivar settings: more of its settings.
    """

    settings: ClassVar[dict[str, str]] = {}

    def setUp(self) -> None:
        super().setUp()
        folder = self.make_folder()
        self.disk = Disk(self, folder / "disk", 64 * MIB)
        self.daemon = Daemon(folder, GOREGO_LOCAL_CACHE_MAX_SIZE_GB="0.05", **self.settings)
        self.address = self.daemon.metrics_addr = f"127.0.0.1:{free_port()}"
        self.daemon.cache_dir = self.disk.place / "cache"
        self.addCleanup(self.daemon.kill)
        self.daemon.start()
        self.client = self.connect(self.daemon)

    def path(self, data: bytes) -> Path:
        name = digest_of(data).hash
        return self.daemon.cache_dir / "cas" / "sha256" / name[:2] / name

    def damaged_blobs(self) -> float:
        """How many the daemon says to have found."""
        with urllib.request.urlopen(f"http://{self.address}/metrics") as answer:
            metrics = answer.read().decode()
        found = re.search(
            r'^gorego_corrupt_blobs_total\{tier="local"\} (\S+)$', metrics, re.MULTILINE
        )
        assert found is not None
        return float(found[1])

    def assert_refused(self, data: bytes, read: Callable[[Client, bytes], object]) -> None:
        """It is told that the blob is damaged, and then that it is absent; it can be put again."""
        before = self.damaged_blobs()
        with self.assertRaises(grpc.RpcError) as refused:
            read(self.client, data)
        self.assertEqual(refused.exception.code(), grpc.StatusCode.DATA_LOSS)
        self.assertEqual(self.client.find_missing([digest_of(data)]), [digest_of(data)])
        self.assertEqual(self.damaged_blobs(), before + 1)
        self.client.batch_update(data)
        self.assertEqual(self.client.read(read_name(digest_of(data))), data)


class DiskDamageTests(DiskDamageTestCase):
    def test_wrong_byte(self) -> None:
        """Wherever one byte of a blob is wrong, nobody gets the end of it, nor a part that it is in."""

        def whole(client: Client, data: bytes) -> bytes:
            return client.read(read_name(digest_of(data)))

        def first(client: Client, data: bytes) -> bytes:
            return client.read(read_name(digest_of(data)), offset=1, limit=10)

        def last(client: Client, data: bytes) -> bytes:
            return client.read(read_name(digest_of(data)), offset=len(data) - 11, limit=10)

        for size in (5000, 70_000, 3_000_000):
            data = random.Random(size).randbytes(size)
            self.client.batch_update(data)
            for read, position in ((whole, 0), (whole, size - 1), (first, 0), (last, size - 1)):
                before = self.path(data).stat()
                self.disk.damage(self.path(data), position)
                self.assertEqual(self.path(data).stat().st_ctime_ns, before.st_ctime_ns)
                self.assert_refused(data, read)
        self.assertNotIn("Traceback", self.daemon.log)

    def test_brought_to_memory_by_others(self) -> None:
        """Nobody gets it either when another program has read the file before, or the daemon was killed."""
        data = random.Random(1).randbytes(660_000)
        self.client.batch_update(data)
        for is_killed in (False, True):
            self.disk.damage(self.path(data), len(data) - 1)
            self.assertNotEqual(self.path(data).read_bytes(), data)
            if is_killed:
                self.daemon.kill()
                self.daemon.start()
                self.client = self.connect(self.daemon)
            self.assert_refused(data, lambda client, data: client.read(read_name(digest_of(data))))


class CompressedTests(DiskDamageTestCase):
    settings: ClassVar[dict[str, str]] = {COMPRESSION: "zstd"}

    def test_wrong_byte(self) -> None:
        """So it is with blobs that are kept compressed, also for clients that take them as they are kept."""

        def expanded(client: Client, data: bytes) -> bytes:
            return client.read(read_name(digest_of(data)))

        def frames(client: Client, data: bytes) -> bytes:
            return client.read(read_name(digest_of(data), kind=ZSTD))

        def part(client: Client, data: bytes) -> bytes:
            return client.read(read_name(digest_of(data), kind=ZSTD), offset=1000)

        for size in (50_000, 3_000_000):
            data = text(size)
            self.client.batch_update(data)
            for read in (expanded, frames, part):
                for share in (0.01, 0.5, 0.99):
                    self.wait_for(data)
                    file = self.path(data)
                    self.disk.damage(file, int(share * file.stat().st_size))
                    self.assert_refused(data, read)
        self.assertNotIn("Traceback", self.daemon.log)

    def wait_for(self, data: bytes) -> None:
        """Wait until it is compressed."""
        file = self.path(data)
        eventually(lambda: file.stat().st_size < 0.7 * len(data), "the blob is compressed")
