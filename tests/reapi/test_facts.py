"""Tests of gorego_tw.reapi.facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadRequest
from gorego_tw.reapi.facts import facts, invocation_of
from gorego_tw.reapi.request_metadata import HEADERS
from gorego_tw.telemetry.span import LocalRoot, Value
from gorego_tw.telemetry.tallies import UNCOUNTED
from tests.reapi.fakes import FakeCall
from tests.telemetry.recording import Recording

HASH = "ab" * 32
DIGEST = pb.Digest(hash=HASH, size_bytes=12)
UUID = "0af76519-16cd-43dd-8448-eb211c80319c"


def reapi(subject: object, call: FakeCall | None = None) -> Mapping[str, Value]:
    """What REAPI's attributes say of a call that asks for that, without their prefix."""
    root = LocalRoot("s.S/M", Recording(), UNCOUNTED, call or FakeCall(), subject)
    prefix = "reapi."
    return {
        key.removeprefix(prefix): value
        for key, value in facts(root).items()
        if key.startswith(prefix)
    }


class FactsTests(SynchronousTestCase):
    def test_rpc(self) -> None:
        """A call has the attributes of the conventions for RPC."""
        root = LocalRoot("s.S/M", Recording(), UNCOUNTED, FakeCall(), None)
        self.assertEqual(
            facts(root),
            {
                "rpc.system": "grpc",
                "rpc.service": "s.S",
                "rpc.method": "M",
                "network.peer.address": FakeCall.peer,
            },
        )

    def test_digest(self) -> None:
        """What asks for one digest tells it, whatever its field is called."""
        one = {"instance_name": "a/b", "digest.hash": HASH, "digest.size_bytes": 12}
        action = pb.GetActionResultRequest(instance_name="a/b", action_digest=DIGEST)
        self.assertEqual(reapi(action), one)
        tree = pb.GetTreeRequest(instance_name="a/b", root_digest=DIGEST)
        self.assertEqual(reapi(tree), one)

    def test_digests(self) -> None:
        """What asks for many tells how many, and which it is if it is one."""
        none = {"instance_name": "", "digests": 0}
        one = {"instance_name": "", "digests": 1, "digest.hash": HASH, "digest.size_bytes": 12}
        kinds: list[tuple[Any, str]] = [
            (pb.FindMissingBlobsRequest, "blob_digests"),
            (pb.BatchReadBlobsRequest, "digests"),
        ]
        for kind, field in kinds:
            self.assertEqual(reapi(kind()), none)
            self.assertEqual(reapi(kind(**{field: [DIGEST]})), one)
            self.assertEqual(reapi(kind(**{field: [DIGEST] * 3})), none | {"digests": 3})
        update = pb.BatchUpdateBlobsRequest()
        update.requests.add(digest=DIGEST, data=b"x")
        self.assertEqual(reapi(update), one)

    def test_resource_names(self) -> None:
        """A name of a blob is told by its parts; one that cannot be understood, as it is."""
        parts = {"instance_name": "a", "digest.hash": HASH, "digest.size_bytes": 12}
        read = ReadRequest(resource_name=f"a/blobs/{HASH}/12")
        self.assertEqual(reapi(read), parts | {"compressor": "identity"})
        compressed = f"a/uploads/{UUID}/compressed-blobs/zstd/{HASH}/12"
        self.assertEqual(reapi(compressed), parts | {"compressor": "zstd"})
        self.assertEqual(reapi("rubbish"), {"resource_name": "rubbish"})
        self.assertEqual(len(str(reapi("x" * 10_000)["resource_name"])), 256)

    def test_metadata(self) -> None:
        """What the tool says of itself is told, as far as it says it, and not at any length."""
        metadata = pb.RequestMetadata(
            tool_details=pb.ToolDetails(tool_name="bazel", tool_version="7.1"),
            tool_invocation_id=UUID,
            correlated_invocations_id="ci",
            action_id="action",
            action_mnemonic="CppCompile",
            target_id="//" + "x" * 1000,
        )
        call = FakeCall(binary={HEADERS[0]: metadata.SerializeToString()})
        self.assertEqual(
            reapi(None, call),
            {
                "tool.name": "bazel",
                "tool.version": "7.1",
                "tool_invocation_id": UUID,
                "correlated_invocations_id": "ci",
                "action_id": "action",
                "action_mnemonic": "CppCompile",
                "target_id": "//" + "x" * 254,
            },
        )
        self.assertEqual(invocation_of(call), UUID)
        self.assertEqual(invocation_of(FakeCall()), "")
