"""Tests of gorego_tw.reapi.committed_size."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.pb.build.bazel.remote.execution.v2.remote_execution_pb2 import (
    RequestMetadata,
    ToolDetails,
)
from gorego_tw.reapi.committed_size import compressed_committed_size
from gorego_tw.reapi.request_metadata import HEADERS
from tests.reapi.fakes import FakeCall


def tool(name: str) -> FakeCall:
    """A call of that tool."""
    metadata = RequestMetadata(tool_details=ToolDetails(tool_name=name))
    return FakeCall(binary={HEADERS[0]: metadata.SerializeToString()})


class CommittedSizeTests(SynchronousTestCase):
    """The end of a compressed write."""

    def test_usual(self) -> None:
        """Clients get the number of compressed bytes unless they are known to fail on it."""
        for call in (FakeCall(), tool("bazel"), tool("buck2"), tool("unheard-of")):
            self.assertEqual(compressed_committed_size(call, 10, 100), 10)

    def test_by_tool_name(self) -> None:
        """Siso and reclient get the size of the blob."""
        for name in ("siso", "Siso", "re-client", "reclient", "reproxy"):
            self.assertEqual(compressed_committed_size(tool(name), 10, 100), 100)

    def test_by_user_agent(self) -> None:
        """The user-agent tells as well."""
        siso = FakeCall({"user-agent": "siso/1.0 grpc-go/1.60"})
        self.assertEqual(compressed_committed_size(siso, 10, 100), 100)
        bazel = FakeCall({"user-agent": "grpc-java-netty/1.32"})
        self.assertEqual(compressed_committed_size(bazel, 10, 100), 10)
