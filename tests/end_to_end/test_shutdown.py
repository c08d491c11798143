"""How the daemon ends, and what clients see of it."""

from __future__ import annotations

import os
import time

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from gorego_tw.pb.grpc.health.v1 import health_pb2
from tests.end_to_end.client import MIB, digest_of, read_name
from tests.end_to_end.daemon import DaemonTestCase, eventually


class GracefulTests(DaemonTestCase):
    """SIGTERM."""

    def test_running_calls_complete(self) -> None:
        """A running Read completes, watchers are told, new calls are refused, the exit code is 0."""
        daemon = self.make_daemon().start()
        client = self.connect(daemon)
        data = os.urandom(64 * MIB)
        digest = client.upload(data)
        watch = self.connect(daemon).health.Watch(health_pb2.HealthCheckRequest())
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
        reading = client.byte_stream.Read(bytestream.ReadRequest(resource_name=read_name(digest)))
        got = [next(reading).data]

        daemon.terminate()
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.NOT_SERVING)
        with self.assertRaises(grpc.RpcError) as refused:
            self.connect(daemon).find_missing([digest])
        self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIsNone(daemon.process.poll(), "it waits for the Read")
        got += [response.data for response in reading]
        self.assertEqual(b"".join(got), data)
        self.assertEqual(daemon.wait(10), 0)

    def test_grace_ends(self) -> None:
        """A call that does not end is ended when the grace is over."""
        daemon = self.make_daemon(GOREGO_SHUTDOWN_GRACE_SECONDS="1").start()
        client = self.connect(daemon)
        digest = client.upload(os.urandom(64 * MIB))
        reading = client.byte_stream.Read(bytestream.ReadRequest(resource_name=read_name(digest)))
        next(reading)
        started = time.monotonic()
        daemon.stop()
        self.assertLess(time.monotonic() - started, 8)
        with self.assertRaises(grpc.RpcError) as ended:
            list(reading)
        self.assertIn(
            ended.exception.code(), {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        )

    def test_idle_connections_do_not_delay(self) -> None:
        """With no call running it ends at once, whoever is connected."""
        daemon = self.make_daemon().start()
        for _ in range(5):
            self.assertTrue(self.connect(daemon).is_serving())
        started = time.monotonic()
        daemon.stop()
        self.assertLess(time.monotonic() - started, 5)

    def test_leaves_no_error_in_its_log(self) -> None:
        """Start, use and stop write no traceback."""
        daemon = self.make_daemon().start()
        client = self.connect(daemon)
        client.upload(os.urandom(MIB))
        daemon.stop()
        self.assertNotIn("Traceback", daemon.log)
        self.assertNotIn("Unhandled", daemon.log)


class RestartTests(DaemonTestCase):
    """What is there after the daemon was away."""

    def test_everything_is_kept(self) -> None:
        """Small blobs, large blobs and action results survive a restart."""
        daemon = self.make_daemon().start()
        large = os.urandom(3 * MIB)
        with daemon.client() as client:
            digests = [*client.batch_update(b"small"), client.upload(large)]
            request = reapi.UpdateActionResultRequest(
                instance_name="kept",
                action_digest=digest_of(b"action"),
                action_result=reapi.ActionResult(
                    output_files=[reapi.OutputFile(path="o", digest=d) for d in digests]
                ),
            )
            client.action_cache.UpdateActionResult(request)
        daemon.stop()
        daemon.start()
        client = self.connect(daemon)
        self.assertEqual(client.find_missing(digests), [])
        self.assertEqual(client.read(read_name(digests[1])), large)
        got = client.action_cache.GetActionResult(
            reapi.GetActionResultRequest(instance_name="kept", action_digest=request.action_digest)
        )
        self.assertEqual(got, request.action_result)

    def test_kill_loses_no_answered_write(self) -> None:
        """What was answered before kill -9 is there afterwards, whole."""
        daemon = self.make_daemon().start()
        blobs = [os.urandom(size) for size in (10, 5_000, 200_000, 2 * MIB)]
        with daemon.client() as client:
            digests = [client.upload(blob) for blob in blobs]
        daemon.kill()
        daemon.start()
        client = self.connect(daemon)
        self.assertEqual(client.find_missing(digests), [])
        for digest, blob in zip(digests, blobs, strict=True):
            self.assertEqual(client.read(read_name(digest)), blob)

    def test_damage_behind_its_back(self) -> None:
        """A blob whose file is changed or removed is absent, and can be uploaded again."""
        daemon = self.make_daemon().start()
        client = self.connect(daemon)
        data = os.urandom(2 * MIB)
        digest = client.upload(data)
        files = [p for p in daemon.cache_dir.rglob("*") if p.is_file()]
        (file,) = [p for p in files if p.stat().st_size == len(data)]
        file.unlink()
        with self.assertRaises(grpc.RpcError) as raised:
            client.read(read_name(digest))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)
        eventually(lambda: client.find_missing([digest]) == [digest], "it is missing", 5)
        client.upload(data)
        self.assertEqual(client.read(read_name(digest)), data)
        file.write_bytes(data[:-100])
        with self.assertRaises(grpc.RpcError) as raised:
            client.read(read_name(digest))
        self.assertIn(
            raised.exception.code(), {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.DATA_LOSS}
        )
