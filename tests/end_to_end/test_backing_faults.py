"""A backing cache that does wrong: the client sees the right bytes or the right error, and nothing wrong is kept."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from tests.end_to_end.backing import Backing, Resetting
from tests.end_to_end.client import Client, digest_of, read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase

BLOB = random.Random(1).randbytes(2_000_000)
SMALL = BLOB[:10_000]
ACTION = digest_of(b"action")
TENTHS = [len(BLOB) * n // 10 for n in range(1, 10)]


class FaultTestCase(DaemonTestCase):
    """Has a backing cache that does wrong, and starts a daemon before it."""

    def setUp(self) -> None:
        super().setUp()
        self.backing = Backing()
        self.addCleanup(self.backing.close)
        self.script = self.backing.script

    def start(self, target: str = "", retries: int = 3) -> Client:
        """A client of a new daemon."""
        self.daemon = self.make_daemon(
            GOREGO_BACKING_CACHE_TARGET=target or self.backing.target,
            GOREGO_BACKING_CACHE_TIMEOUT_SECONDS="1",
            GOREGO_BACKING_CACHE_PUT_RETRY_COUNT=str(retries),
        ).start()
        return self.connect(self.daemon)

    def code(self, call: Callable[[], object]) -> grpc.StatusCode:
        """What a call fails with."""
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        code: grpc.StatusCode = caught.exception.code()
        return code


class ReadTests(FaultTestCase):
    """Each fault that reads can meet."""

    def setUp(self) -> None:
        super().setUp()
        self.digest = self.backing.keep(BLOB)
        self.small = self.backing.keep(SMALL)

    def failure(self, client: Client, data: bytes = BLOB) -> grpc.StatusCode:
        """What a read fails with."""
        return self.code(lambda: client.read(read_name(digest_of(data))))

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

    def test_stands_still(self) -> None:
        """A stream that stands still is given up after a while, and gone on with."""
        self.script.stalls = [TENTHS[2], TENTHS[6]]
        self.assert_read(self.start())
        self.assertEqual(self.backing.reads[self.digest.hash], 3)
        self.assert_kept(BLOB)

    def test_nothing_wrong_is_complete(self) -> None:
        """Of a blob that turns out wrong at its last byte no reader has that byte."""
        client = self.start()
        self.script.flip = True
        got = b""
        request = bytestream.ReadRequest(resource_name=read_name(self.digest))
        with self.assertRaises(grpc.RpcError):
            for response in client.byte_stream.Read(request):
                got += response.data
        self.assertLess(len(got), len(BLOB))
        self.assertTrue(BLOB.startswith(got))

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


class WriteTests(FaultTestCase):
    """Each fault that writes through can meet."""

    def assert_there(self) -> None:
        """The backing cache has the blob."""
        digest = digest_of(BLOB)
        self.assertEqual(self.backing.blobs[digest.hash, digest.size_bytes], BLOB)

    def update(self, client: Client) -> None:
        """Store an action result."""
        request = reapi.UpdateActionResultRequest(action_digest=ACTION)
        request.action_result.output_files.add(path="out", digest=digest_of(BLOB))
        client.action_cache.UpdateActionResult(request)

    def test_cut_at_every_tenth(self) -> None:
        """An upload that is cut at every tenth is gone on with where it broke off."""
        self.script.write_cuts = list(TENTHS)
        self.start().upload(BLOB)
        self.assert_there()
        offsets = self.backing.written_from[digest_of(BLOB).hash]
        self.assertEqual((len(offsets), offsets[0]), (10, 0))
        self.assertTrue(all(o >= tenth for o, tenth in zip(offsets[1:], TENTHS, strict=True)))

    def test_stands_still(self) -> None:
        """An upload that is not taken any more is given up after a while, and gone on with."""
        self.script.write_stalls = [TENTHS[4]]
        self.start().upload(BLOB)
        self.assert_there()
        self.assertEqual(len(self.backing.written_from[digest_of(BLOB).hash]), 2)

    def test_reset(self) -> None:
        """A connection that is reset in the middle of an upload is made again, and the upload ends well."""
        between = Resetting(self.backing.port)
        self.addCleanup(between.close)
        between.upward = [500_000, 700_000]
        self.start(between.target).upload(BLOB)
        self.assert_there()
        self.assertGreater(self.backing.counts["Write"], 1)

    def test_unavailable_for_a_while(self) -> None:
        """UNAVAILABLE three times, and then not, is no failure."""
        for method in ("Write", "BatchUpdateBlobs", "UpdateActionResult"):
            self.script.failures[method] = [grpc.StatusCode.UNAVAILABLE] * 3
        client = self.start()
        client.upload(BLOB)
        client.batch_update(SMALL)
        self.update(client)
        self.assertEqual(len(self.backing.order), 3)

    def test_refused(self) -> None:
        """What the backing cache does not take is not acknowledged, with its reason where it gave one."""
        client = self.start(retries=0)
        for code, told in (
            (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
            (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.RESOURCE_EXHAUSTED),
            (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.PERMISSION_DENIED),
        ):
            self.script.failures["BatchUpdateBlobs"] = [code]
            self.assertEqual(self.code(lambda: client.upload(SMALL)), told, code)
            # grpcio loses one answer in four that comes while a stream is being sent.
            self.script.failures["Write"] = [code]
            lost = grpc.StatusCode.ABORTED
            self.assertIn(self.code(lambda: client.upload(BLOB)), {told, lost}, code)
        self.assertEqual(self.backing.blobs, {})
        client.upload(BLOB)
        self.assert_there()

    def test_refused_action_result(self) -> None:
        """An action result that the backing cache does not take is not here either."""
        client = self.start(retries=0)
        client.upload(BLOB)
        self.script.failures["UpdateActionResult"] = [grpc.StatusCode.UNAVAILABLE]
        self.assertEqual(self.code(lambda: self.update(client)), grpc.StatusCode.UNAVAILABLE)
        get = reapi.GetActionResultRequest(action_digest=ACTION)
        absent = self.code(lambda: client.action_cache.GetActionResult(get))
        self.assertEqual(absent, grpc.StatusCode.NOT_FOUND)
        self.update(client)
        self.assertEqual(client.action_cache.GetActionResult(get).output_files[0].path, "out")

    def test_refused_in_a_batch(self) -> None:
        """Of a batch that does not get there each blob is told so."""
        self.script.failures["BatchUpdateBlobs"] = [grpc.StatusCode.UNAVAILABLE] * 2
        requests = [
            reapi.BatchUpdateBlobsRequest.Request(digest=digest_of(blob), data=blob)
            for blob in (SMALL, SMALL + b"other")
        ]
        batch = reapi.BatchUpdateBlobsRequest(requests=requests)
        answer = self.start(retries=0).cas.BatchUpdateBlobs(batch)
        codes = [response.status.code for response in answer.responses]
        self.assertEqual(codes, [grpc.StatusCode.UNAVAILABLE.value[0]] * 2)
