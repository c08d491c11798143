"""A plain HTTP server behind the daemon."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import Client, digest_of, read_name
from tests.end_to_end.daemon import DaemonTestCase

BLOBS = [bytes([n]) * size for n, size in enumerate((100, 5000, 100_000, 5_000_000))]


class FileRequests(BaseHTTPRequestHandler):
    """GET, HEAD and PUT of files in memory."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        """The file."""
        data = self._head()
        self.wfile.write(data)

    def do_HEAD(self) -> None:
        """Whether it is there."""
        self._head()

    def do_PUT(self) -> None:
        """Keep it."""
        length = int(self.headers["Content-Length"])
        self.server.files[self.path] = self.rfile.read(length)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _head(self) -> bytes:
        data: bytes | None = self.server.files.get(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        return data or b""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class HTTPBackingTests(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        server: Any = ThreadingHTTPServer(("127.0.0.1", 0), FileRequests)
        self.files: dict[str, bytes] = {}
        server.files = self.files
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.target = f"http://127.0.0.1:{server.server_port}/some/prefix"

    def start(self) -> Client:
        """A client of a new daemon before it."""
        daemon = self.make_daemon(GOREGO_BACKING_CACHE_TARGET=self.target).start()
        return self.connect(daemon)

    def test_one_writes_another_reads(self) -> None:
        """What one daemon writes is there as Bazel would have it, and another daemon reads it."""
        first = self.start()
        digests = [*first.batch_update(*BLOBS[:2]), *map(first.upload, BLOBS[2:])]
        result = reapi.ActionResult(
            output_files=[reapi.OutputFile(path="out", digest=digests[3])], exit_code=0
        )
        action = digest_of(b"action")
        request = reapi.UpdateActionResultRequest(action_digest=action, action_result=result)
        first.action_cache.UpdateActionResult(request)
        self.assertIn(f"/some/prefix/ac/{action.hash}", self.files)
        for digest, blob in zip(digests, BLOBS, strict=True):
            self.assertEqual(self.files[f"/some/prefix/cas/{digest.hash}"], blob)

        second = self.start()
        get = reapi.GetActionResultRequest(action_digest=action)
        self.assertEqual(second.action_cache.GetActionResult(get), result)
        self.assertEqual(second.find_missing([*digests, digest_of(b"no")]), [digest_of(b"no")])
        for digest, blob in zip(digests, BLOBS, strict=True):
            self.assertEqual(second.read(read_name(digest)), blob)

    def test_wrong_bytes(self) -> None:
        """A file that is not what its name says is DATA_LOSS, and an absent one NOT_FOUND."""
        client = self.start()
        digest = digest_of(BLOBS[3])
        self.files[f"/some/prefix/cas/{digest.hash}"] = bytes(len(BLOBS[3]))
        for name, code in (
            (read_name(digest), grpc.StatusCode.DATA_LOSS),
            (read_name(digest_of(b"no")), grpc.StatusCode.NOT_FOUND),
        ):
            with self.assertRaises(grpc.RpcError) as caught:
                client.read(name)
            self.assertEqual(caught.exception.code(), code)
