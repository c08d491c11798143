"""Tests of gorego_tw.reapi.request_metadata."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.pb.build.bazel.remote.execution.v2.remote_execution_pb2 import (
    RequestMetadata,
    ToolDetails,
)
from gorego_tw.reapi.request_metadata import HEADERS, request_metadata
from tests.reapi.fakes import FakeCall

METADATA = RequestMetadata(tool_details=ToolDetails(tool_name="bazel"), action_id="a")


class RequestMetadataTests(SynchronousTestCase):
    """What a client says of itself."""

    def test_both_names(self) -> None:
        """The header is understood under its name and the old one."""
        for header in HEADERS:
            call = FakeCall(binary={header: METADATA.SerializeToString()})
            self.assertEqual(request_metadata(call), METADATA)
        self.assertEqual(HEADERS[1], "google.devtools.remoteexecution.v1test.requestmetadata-bin")

    def test_absent(self) -> None:
        """Without the header there is an empty message."""
        self.assertEqual(request_metadata(FakeCall()), RequestMetadata())

    def test_malformed(self) -> None:
        """Bytes that are no such message never fail a call; the other name is tried."""
        broken = {HEADERS[0]: b"\xff\xff\xff"}
        self.assertEqual(request_metadata(FakeCall(binary=broken)), RequestMetadata())
        both = {**broken, HEADERS[1]: METADATA.SerializeToString()}
        self.assertEqual(request_metadata(FakeCall(binary=both)), METADATA)
