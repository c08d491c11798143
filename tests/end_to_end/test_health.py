"""Whether a daemon lives and takes calls, as load balancers and Kubernetes ask."""

from __future__ import annotations

import json
import os
from typing import Any

import grpc

from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from gorego_tw.pb.grpc.health.v1 import health_pb2
from tests.end_to_end.client import MIB, digest_of, read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually, free_port
from tests.end_to_end.pages import page

SERVING = health_pb2.HealthCheckResponse.SERVING
SERVICES = (
    "",
    "build.bazel.remote.execution.v2.ActionCache",
    "build.bazel.remote.execution.v2.Capabilities",
    "build.bazel.remote.execution.v2.ContentAddressableStorage",
    "google.bytestream.ByteStream",
)


class HealthTestCase(DaemonTestCase):
    def start(self, **settings: str) -> Daemon:
        """A daemon whose pages have a port that is known."""
        daemon = self.make_daemon(**settings)
        daemon.metrics_addr = f"127.0.0.1:{free_port()}"
        return daemon.start()

    def asked(self, daemon: Daemon, path: str) -> tuple[int, dict[str, Any]]:
        """The status, and what JSON says of each check."""
        answer = page(daemon, path)
        self.assertEqual(answer.headers.get_content_type(), "application/json")
        told = json.loads(answer.text)
        self.assertEqual(told["ok"], answer.status == 200)
        for finding in told["checks"].values():
            self.assertEqual(set(finding), {"ok", "reason", "age_seconds", "required"})
        return answer.status, told["checks"]


class ProbeTests(HealthTestCase):
    """HTTP."""

    def test_well(self) -> None:
        """A daemon that serves is alive and ready, and says of each check how it is and since when."""
        daemon = self.start()
        status, checks = self.asked(daemon, "/healthz")
        self.assertEqual((status, set(checks)), (200, {"reactor"}))
        status, checks = self.asked(daemon, "/readyz")
        self.assertEqual((status, set(checks)), (200, {"started", "local_tier"}))
        self.assertTrue(all(finding["ok"] for finding in checks.values()))

    def test_shutdown(self) -> None:
        """From the moment a shutdown begins it is not ready, and says why; it is alive until it ends."""
        daemon = self.start()
        client = self.connect(daemon)
        digest = client.upload(os.urandom(64 * MIB))
        reading = client.byte_stream.Read(bytestream.ReadRequest(resource_name=read_name(digest)))
        next(reading)
        watch = self.connect(daemon).health.Watch(health_pb2.HealthCheckRequest())
        next(watch)
        self.assertEqual(self.asked(daemon, "/readyz")[0], 200)
        daemon.terminate()
        self.assertNotEqual(next(watch).status, SERVING)  # the shutdown has begun
        status, checks = self.asked(daemon, "/readyz")
        self.assertEqual(status, 503)
        self.assertEqual(checks["started"]["reason"], "starting or shutting down")
        self.assertTrue(checks["local_tier"]["ok"])
        self.assertEqual(self.asked(daemon, "/healthz")[0], 200)
        list(reading)
        self.assertEqual(daemon.wait(), 0)

    def test_backing_cache(self) -> None:
        """Where it is required, a daemon is ready as soon as the backing cache answers, though nobody calls."""
        backing = self.make_daemon()
        daemon = self.make_daemon(
            GOREGO_BACKING_CACHE_TARGET=f"grpc://{backing.listen_addr}",
            GOREGO_TELEMETRY_READINESS_REQUIRES_BACKING="true",
        )
        daemon.metrics_addr = f"127.0.0.1:{free_port()}"
        daemon.launch()
        eventually(lambda: "ready; for Bazel" in daemon.log, "it has started")
        status, checks = self.asked(daemon, "/readyz")
        self.assertEqual((status, checks["backing_cache"]["ok"]), (503, False))
        self.assertNotEqual(checks["backing_cache"]["reason"], "")
        client = self.connect(daemon)
        self.assertFalse(client.is_serving())
        backing.start()
        eventually(lambda: self.asked(daemon, "/readyz")[0] == 200, "it is ready")
        eventually(client.is_serving, "it says so by gRPC, too")

    def test_backing_cache_is_of_no_account(self) -> None:
        """Where it is not, a daemon is ready without it; what calls have found out is told all the same."""
        daemon = self.start(
            GOREGO_BACKING_CACHE_TARGET=f"grpc://127.0.0.1:{free_port()}",
            GOREGO_BACKING_CACHE_PUT_RETRY_COUNT="0",
        )
        client = self.connect(daemon)
        for _ in range(5):
            with self.assertRaises(grpc.RpcError):
                client.read(read_name(digest_of(b"absent")))
        status, checks = self.asked(daemon, "/readyz")
        finding = checks["backing_cache"]
        self.assertEqual((status, finding["ok"], finding["required"]), (200, False, False))
        self.assertIn("backing cache", finding["reason"])


class GRPCTests(HealthTestCase):
    """grpc.health.v1, called as grpc_health_probe does."""

    def test_each_service(self) -> None:
        """The server as a whole and each service by name are serving, in Check and in Watch; others are unknown."""
        client = self.connect(self.start())
        for name in SERVICES:
            request = health_pb2.HealthCheckRequest(service=name)
            self.assertEqual(client.health.Check(request, timeout=1).status, SERVING, name)
            watch = client.health.Watch(request, timeout=10)
            self.assertEqual(next(watch).status, SERVING, name)
            watch.cancel()
        unknown = health_pb2.HealthCheckRequest(service="no.such.Service")
        with self.assertRaises(grpc.RpcError) as caught:
            client.health.Check(unknown, timeout=1)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
        watch = client.health.Watch(unknown, timeout=10)
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
