"""The log of a real daemon: its form, its level, and how a request is found in it."""

from __future__ import annotations

import json
import os
from typing import Any

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadRequest
from tests.end_to_end.client import read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually, free_port
from tests.end_to_end.pages import page

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
METADATA_KEY = "build.bazel.remote.execution.v2.requestmetadata-bin"


class LogTests(DaemonTestCase):
    def lines(self, daemon: Daemon) -> list[dict[str, Any]]:
        """What it has told, line by line.

        :raises json.JSONDecodeError: a line is something else.
        """
        return [json.loads(line) for line in daemon.log.splitlines()]

    def put(self, daemon: Daemon, query: str) -> None:
        """Change what is told."""
        self.assertEqual(page(daemon, f"/debug/log?{query}", method="PUT").status, 200)

    def start(self, **settings: str) -> Daemon:
        """A daemon with a port for its pages that is known."""
        daemon = self.make_daemon(**settings)
        daemon.metrics_addr = f"127.0.0.1:{free_port()}"
        return daemon.start()

    def test_request_found_by_its_trace(self) -> None:
        """The access log, switched on while it runs, has the facts of a call under its trace id."""
        daemon = self.start()
        client = self.connect(daemon)
        blob = os.urandom(100_000)
        digest = client.upload(blob)
        self.put(daemon, "access_log_ratio=1")
        metadata = reapi.RequestMetadata(tool_invocation_id="the-build", action_mnemonic="Cpp")
        answers = client.byte_stream.Read(
            ReadRequest(resource_name=read_name(digest)),
            metadata=(
                ("traceparent", f"00-{TRACE_ID}-b7ad6b7169203331-00"),
                (METADATA_KEY, metadata.SerializeToString()),
            ),
        )
        self.assertEqual(b"".join(answer.data for answer in answers), blob)
        self.put(daemon, "access_log_ratio=0")
        client.find_missing([digest])
        eventually(lambda: TRACE_ID in daemon.log, "the call is told")
        (line,) = [line for line in self.lines(daemon) if line.get("trace_id") == TRACE_ID]
        self.assertEqual((line["method"], line["code"]), ("Read", "OK"))
        self.assertEqual((line["digest"], line["size_bytes"]), (digest.hash, 100_000))
        self.assertEqual(line["tool_invocation_id"], "the-build")
        self.assertEqual(line["action_mnemonic"], "Cpp")
        self.assertTrue(line["peer"].startswith("127.0.0.1:"))
        self.assertGreater(line["milliseconds"], 0)
        self.assertEqual(len(line["span_id"]), 16)
        told = [line["method"] for line in self.lines(daemon) if "method" in line]
        self.assertEqual(told, ["Read"])

    def test_json(self) -> None:
        """Every line is an object with time, level, logger and message; from the start to the end."""
        daemon = self.start()
        daemon.stop()
        lines = self.lines(daemon)
        self.assertIn("shutting down", [line["message"] for line in lines])
        for line in lines:
            self.assertLessEqual({"time", "level", "logger", "message"}, set(line))

    def test_level(self) -> None:
        """The level is that of the configuration until it is changed."""
        daemon = self.start(GOREGO_TELEMETRY_LOG_LEVEL="error")
        self.assertEqual(daemon.log, "")
        self.put(daemon, "level=info")
        daemon.stop()
        self.assertIn("shutting down", [line["message"] for line in self.lines(daemon)])

    def test_libraries(self) -> None:
        """What a library has to say by Python's own logging is in the same form."""
        daemon = self.start(
            GOREGO_TELEMETRY_TRACING_ENDPOINT="127.0.0.1:1",
            OTEL_EXPORTER_OTLP_HEADERS="no header",
        )
        (line,) = [line for line in self.lines(daemon) if "opentelemetry" in line["logger"]]
        self.assertEqual(line["level"], "warn")
        self.assertIn("no header", line["message"])

    def test_text(self) -> None:
        """Who reads it with their eyes may have text."""
        daemon = self.start(GOREGO_TELEMETRY_LOG_FORMAT="text")
        self.assertIn("info [gorego_tw.announcement.Announcement] ready; for Bazel", daemon.log)
