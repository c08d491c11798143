"""Tools that others wrote to look at, to judge and to load gRPC and HTTP/2 servers."""

from __future__ import annotations

import re

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import digest_of
from tests.end_to_end.daemon import SharedDaemonTestCase
from tests.tools import output_of, tool

# All that h2spec 2.6 has, its strict ones included.
H2SPEC_CASES = 146


class ToolTests(SharedDaemonTestCase):
    """Each is skipped where it is not installed."""

    def test_grpcurl(self) -> None:
        """Grpcurl lists and calls the services without any .proto file."""
        grpcurl = tool("grpcurl")
        listed = output_of(grpcurl, "-plaintext", self.daemon.target, "list").split()
        self.assertIn("google.bytestream.ByteStream", listed)
        self.assertIn("build.bazel.remote.execution.v2.ContentAddressableStorage", listed)
        method = "build.bazel.remote.execution.v2.Capabilities/GetCapabilities"
        answer = output_of(grpcurl, "-plaintext", self.daemon.target, method)
        self.assertIn('"cache_capabilities"', answer)
        described = output_of(
            grpcurl, "-plaintext", self.daemon.target, "describe", "google.bytestream.ByteStream"
        )
        self.assertIn("rpc QueryWriteStatus", described)

    def test_h2spec(self) -> None:
        """Every case of h2spec passes, and the daemon survives all of them."""
        h2spec = tool("h2spec")
        port = self.daemon.target.rpartition(":")[2]
        said = output_of(h2spec, "--strict", "--host", "127.0.0.1", "--port", port)
        summary = re.search(r"(\d+) tests, (\d+) passed, 0 skipped, 0 failed", said)
        assert summary is not None, said.partition("Failures:")[2] or said
        self.assertGreaterEqual(int(summary[2]), H2SPEC_CASES)
        self.assertTrue(self.client.is_serving())

    def test_h2load(self) -> None:
        """Every one of 20,000 requests of h2load is answered, with the message it asks for."""
        h2load = tool("h2load")
        action = digest_of(b"loaded")
        result = reapi.ActionResult(exit_code=5)
        self.client.action_cache.UpdateActionResult(
            reapi.UpdateActionResultRequest(action_digest=action, action_result=result)
        )
        message = reapi.GetActionResultRequest(action_digest=action).SerializeToString()
        body = self.daemon.folder / "body"
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        said = output_of(
            *(h2load, "-n", "20000", "-c", "8", "-m", "16", "-t", "1", "-d", str(body)),
            *("-H", "content-type: application/grpc", "-H", "te: trailers"),
            f"http://{self.daemon.target}"
            "/build.bazel.remote.execution.v2.ActionCache/GetActionResult",
        )
        self.assertIn("20000 succeeded, 0 failed, 0 errored, 0 timeout", said)
        data = re.search(r"\((\d+)\) data", said)
        assert data is not None, said
        self.assertEqual(int(data[1]), 20000 * (5 + result.ByteSize()))
