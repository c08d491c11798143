"""A daemon that keeps blobs compressed, and its clients, which see nothing of it."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import zstandard

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import MIB, Client, digest_of, read_name, write_name, write_requests
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually
from tests.end_to_end.test_grpcio import decompressed

ZSTD = "compressed-blobs/zstd"
COMPRESSION = "GOREGO_LOCAL_CACHE_COMPRESSION"


def text(size: int, seed: int = 0) -> bytes:
    """Bytes that can be compressed to a bit more than a half."""
    return Random(f"{size} {seed}").randbytes(size // 2 + 1).hex()[:size].encode()


class CompressionTests(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.blobs = [text(50_000), text(3 * MIB + 5), os.urandom(3 * MIB), text(5_000)]

    def make_compressing_daemon(self, **settings: str) -> Daemon:
        """A daemon that compresses."""
        return self.make_daemon(**{COMPRESSION: "zstd"} | settings)

    def file(self, daemon: Daemon, data: bytes) -> Path:
        """Where a blob is."""
        name = digest_of(data).hash
        return daemon.cache_dir / "cas" / "sha256" / name[:2] / name

    def wait_for(self, daemon: Daemon, *blobs: bytes) -> None:
        """Wait until they are compressed."""

        def small() -> bool:
            return all(self.file(daemon, data).stat().st_size < 0.7 * len(data) for data in blobs)

        eventually(small, "the blobs are compressed")

    def assert_served(self, client: Client) -> None:
        """All blobs come right in every way there is."""
        digests = [digest_of(data) for data in self.blobs]
        self.assertEqual(client.find_missing(digests), [])
        for data, digest in zip(self.blobs, digests, strict=True):
            middle = len(data) // 2
            self.assertEqual(client.read(read_name(digest)), data)
            self.assertEqual(client.read(read_name(digest), middle, 1000), data[middle:][:1000])
            compressed = client.read(read_name(digest, kind=ZSTD))
            self.assertEqual(decompressed(compressed), data)
            compressed = client.read(read_name(digest, kind=ZSTD), middle)
            self.assertEqual(decompressed(compressed), data[middle:])
        for acceptable in ([], [reapi.Compressor.ZSTD]):
            for data, digest in zip(self.blobs, digests, strict=True):
                request = reapi.BatchReadBlobsRequest(
                    digests=[digest], acceptable_compressors=acceptable
                )
                (item,) = client.cas.BatchReadBlobs(request).responses
                self.assertEqual(item.status.code, 0)
                is_zstd = item.compressor == reapi.Compressor.ZSTD
                self.assertEqual(decompressed(item.data) if is_zstd else item.data, data)

    def test_uploaded_as_they_are(self) -> None:
        """Blobs that came as they are are kept compressed, and read in both forms."""
        daemon = self.make_compressing_daemon().start()
        client = self.connect(daemon)
        for data in self.blobs:
            client.upload(data)
        self.assert_served(client)
        self.wait_for(daemon, *self.blobs[:2])
        self.assert_served(client)
        self.assertEqual(self.file(daemon, self.blobs[2]).read_bytes(), self.blobs[2])
        kept = self.file(daemon, self.blobs[1]).read_bytes()
        given = client.read(read_name(digest_of(self.blobs[1]), kind=ZSTD))
        self.assertTrue(kept.startswith(given))

    def test_uploaded_compressed(self) -> None:
        """Blobs that came compressed are read in both forms."""
        daemon = self.make_compressing_daemon().start()
        client = self.connect(daemon)
        for data in self.blobs:
            name = write_name(digest_of(data), kind=ZSTD)
            client.byte_stream.Write(write_requests(name, zstandard.compress(data)))
        self.wait_for(daemon, *self.blobs[:2])
        self.assert_served(client)

    def test_setting_switched(self) -> None:
        """What was kept under one setting is served under the other, in either order."""
        daemon = self.make_daemon().start()
        plain = text(200_000, 1)
        self.connect(daemon).upload(plain)
        daemon.stop()
        daemon.settings[COMPRESSION] = "zstd"
        daemon.start()
        client = self.connect(daemon)
        for data in self.blobs:
            client.upload(data)
        self.wait_for(daemon, *self.blobs[:2])
        self.assertEqual(client.read(read_name(digest_of(plain))), plain)
        for setting in ("none", "zstd"):
            daemon.stop()
            daemon.settings[COMPRESSION] = setting
            daemon.start()
            self.assert_served(self.connect(daemon))
        self.assertEqual(self.file(daemon, plain).read_bytes(), plain)
        self.assertNotIn("dropped", daemon.log)
        self.assertNotIn("Traceback", daemon.log)

    def test_killed(self) -> None:
        """What was acknowledged before kill -9 is there after it, whatever was being compressed."""
        daemon = self.make_compressing_daemon().start()
        self.blobs = [text(MIB, seed) for seed in range(20)]
        client = self.connect(daemon)
        for data in self.blobs:
            client.upload(data)
        daemon.kill()
        daemon.start()
        self.assert_served(self.connect(daemon))
        self.assertNotIn("dropped", daemon.log)

    def test_proxy(self) -> None:
        """What is kept compressed goes to the backing cache, and what comes from there is kept so."""
        behind = self.make_compressing_daemon().start()
        front = {
            "GOREGO_BACKING_CACHE_TARGET": f"grpc://{behind.target}",
            "GOREGO_BACKING_CACHE_COMPRESSION": "zstd",
        }
        first = self.make_compressing_daemon(**front).start()
        client = self.connect(first)
        for data in self.blobs:
            client.upload(data)
        self.assert_served(self.connect(behind))
        second = self.make_compressing_daemon(**front).start()
        self.assert_served(self.connect(second))
        self.wait_for(second, *self.blobs[:2])
        self.assert_served(self.connect(second))
