"""A backing cache that does wrong: the client sees the right bytes or the right error, and nothing wrong is kept."""

from __future__ import annotations

import hashlib
import random

import grpc

from tests.end_to_end.backing import Backing, Resetting
from tests.end_to_end.client import Client, digest_of, read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase

BLOB = random.Random(1).randbytes(2_000_000)
SMALL = BLOB[:10_000]
TENTHS = [len(BLOB) * n // 10 for n in range(1, 10)]


class FaultTests(DaemonTestCase):
    """Each fault, with a new daemon before it."""

    def setUp(self) -> None:
        super().setUp()
        self.backing = Backing()
        self.addCleanup(self.backing.close)
        self.digest = self.backing.keep(BLOB)
        self.small = self.backing.keep(SMALL)
        self.script = self.backing.script

    def start(self, target: str = "", retries: int = 3) -> Client:
        """A client of a new daemon."""
        self.daemon = self.make_daemon(
            GOREGO_BACKING_CACHE_TARGET=target or self.backing.target,
            GOREGO_BACKING_CACHE_TIMEOUT_SECONDS="1",
            GOREGO_BACKING_CACHE_PUT_RETRY_COUNT=str(retries),
        ).start()
        return self.connect(self.daemon)

    def failure(self, client: Client, data: bytes = BLOB) -> grpc.StatusCode:
        """What a read fails with."""
        with self.assertRaises(grpc.RpcError) as caught:
            client.read(read_name(digest_of(data)))
        code: grpc.StatusCode = caught.exception.code()
        return code

    def assert_read(self, client: Client, data: bytes = BLOB) -> None:
        """A read gives the right bytes."""
        self.assertEqual(client.read(read_name(digest_of(data))), data)

    def assert_kept(self, *blobs: bytes) -> None:
        """Those and no others are in the local tier, and every file there is what its name says."""
        self.daemon.stop()
        for path in self.daemon.cache_dir.glob("cas/sha256/*/*"):
            self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), path.name)
        self.assertEqual(list(self.daemon.cache_dir.glob("uploads/*")), [])
        alone = Daemon(self.daemon.folder)
        self.addCleanup(alone.kill)
        client = self.connect(alone.start())
        kept = [blob for blob in (BLOB, SMALL) if not client.find_missing([digest_of(blob)])]
        self.assertEqual(kept, list(blobs))
        for blob in kept:
            self.assert_read(client, blob)
        self.assertNotIn("Traceback", alone.log)

    def test_cut_at_every_tenth(self) -> None:
        """A stream that is cut at every tenth of a blob is gone on with each time."""
        self.script.cuts = list(TENTHS)
        self.assert_read(self.start())
        self.assertEqual(self.backing.reads[self.digest.hash], 10)
        self.assert_kept(BLOB)

    def test_cut_without_progress(self) -> None:
        """A stream that is cut in one place again and again ends in UNAVAILABLE."""
        self.script.cuts = [TENTHS[4]] * 99
        client = self.start()
        self.assertEqual(self.failure(client), grpc.StatusCode.UNAVAILABLE)
        self.script.cuts = []
        self.assert_read(client)
        self.assert_kept(BLOB)

    def test_unavailable_for_a_while(self) -> None:
        """UNAVAILABLE three times, and then not, is no failure."""
        for method in ("Read", "BatchReadBlobs", "FindMissingBlobs"):
            self.script.failures[method] = [grpc.StatusCode.UNAVAILABLE] * 3
        client = self.start()
        self.assert_read(client)
        self.assert_read(client, SMALL)
        self.assertEqual(client.find_missing([digest_of(b"absent")]), [digest_of(b"absent")])
        self.assert_kept(BLOB, SMALL)

    def test_unavailable(self) -> None:
        """UNAVAILABLE more often is UNAVAILABLE, never absence."""
        self.script.failures["Read"] = [grpc.StatusCode.UNAVAILABLE] * 4
        client = self.start()
        self.assertEqual(self.failure(client), grpc.StatusCode.UNAVAILABLE)
        self.assert_read(client)

    def test_other_failures(self) -> None:
        """What says that the peer broke down is UNAVAILABLE; what is an answer is that answer."""
        client = self.start(retries=0)
        for code, told in (
            (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE),
            (grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE),
            (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.PERMISSION_DENIED),
            (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAUTHENTICATED),
            (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.NOT_FOUND),
        ):
            self.script.failures["Read"] = [code]
            self.assertEqual(self.failure(client), told, code)
        self.assert_kept()

    def test_hangs(self) -> None:
        """A peer that does not answer is given up, and asked again later."""
        client = self.start()
        self.script.hang.set()
        self.assertEqual(self.failure(client), grpc.StatusCode.UNAVAILABLE)
        self.script.hang.clear()
        self.assert_kept()

    def test_wrong_bytes(self) -> None:
        """Wrong bytes are DATA_LOSS, and are not kept; right ones later are."""
        client = self.start()
        self.script.flip = True
        self.assertEqual(self.failure(client), grpc.StatusCode.DATA_LOSS)
        self.assertEqual(self.failure(client, SMALL), grpc.StatusCode.DATA_LOSS)
        self.script.flip = False
        self.assert_read(client)
        self.assert_kept(BLOB)

    def test_too_few_bytes(self) -> None:
        """A stream that ends too early is gone on with; if there is no more, it is UNAVAILABLE."""
        client = self.start()
        self.script.ends = [TENTHS[3]]
        self.assert_read(client)
        client = self.start()
        self.script.ends = [TENTHS[3]] * 9
        self.assertEqual(self.failure(client), grpc.StatusCode.UNAVAILABLE)
        self.script.ends = []
        self.assert_kept()

    def test_too_many_bytes(self) -> None:
        """More bytes than announced are DATA_LOSS, and none of them is kept."""
        client = self.start()
        self.script.extra = b"x"
        self.assertEqual(self.failure(client), grpc.StatusCode.DATA_LOSS)
        self.assertEqual(self.failure(client, SMALL), grpc.StatusCode.DATA_LOSS)
        self.assert_kept()

    def test_reset(self) -> None:
        """A connection that is reset in the middle is made again, and the read goes on."""
        between = Resetting(self.backing.port)
        self.addCleanup(between.close)
        client = self.start(between.target)
        self.daemon.stop()
        between.after = [500_000, 700_000]
        client = self.connect(self.daemon.start())
        self.assert_read(client)
        self.assertGreater(self.backing.reads[self.digest.hash], 1)
        self.assert_kept(BLOB)
