"""Tests of gorego_tw.reapi.normalising."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import DigestMismatch, FailedPrecondition, InvalidArgument
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.limits import Limits
from gorego_tw.reapi.normalising import Normalising
from tests.reapi.fakes import FakeBlobs

KEY = ActionKey("", digest_of(b"action", DigestFunction.SHA256))
OUTPUT = digest_of(b"output", DigestFunction.SHA256)
OUTPUT_MESSAGE = pb.Digest(hash=OUTPUT.hash, size_bytes=OUTPUT.size_bytes)


class NormalisingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kept, self.blobs = FakeBlobs(), FakeBlobs()
        limits = Limits(max_action_result_bytes=1000)
        self.normalise = Normalising(self.kept, self.blobs, limits).normalised

    def test_as_it_is(self) -> None:
        """What has nothing inlined stays as it is, to the byte, and comes with what it refers to."""
        data = pb.ActionResult(stdout_digest=OUTPUT_MESSAGE).SerializeToString() + b"\xf8\x01\x07"
        result = self.successResultOf(self.normalise(KEY, data))
        self.assertEqual(result, StoredActionResult(data, (OUTPUT,)))

    def test_inlined(self) -> None:
        """What is inlined is kept as a blob, and the result has its digest."""
        data = pb.ActionResult(stderr_raw=b"output").SerializeToString()
        result = self.successResultOf(self.normalise(KEY, data))
        self.assertEqual(result.references, (OUTPUT,))
        kept = pb.ActionResult.FromString(result.data)
        self.assertEqual(kept, pb.ActionResult(stderr_digest=OUTPUT_MESSAGE))
        self.assertEqual(self.successResultOf(self.kept.find_missing([OUTPUT])), [])

    def test_no_result(self) -> None:
        """What is no result, lies about its data or is too large is refused."""
        lie = pb.ActionResult(stdout_raw=b"other", stdout_digest=OUTPUT_MESSAGE)
        large = pb.ActionResult(
            output_files=[pb.OutputFile(path="x" * 1000, digest=OUTPUT_MESSAGE)]
        )
        self.failureResultOf(self.normalise(KEY, b"\xff"), InvalidArgument)
        self.failureResultOf(self.normalise(KEY, lie.SerializeToString()), DigestMismatch)
        self.failureResultOf(self.normalise(KEY, large.SerializeToString()), InvalidArgument)

    def test_tree(self) -> None:
        """A Tree that is gone is told; one that is empty needs to be nowhere."""
        gone = pb.ActionResult(output_directories=[pb.OutputDirectory(tree_digest=OUTPUT_MESSAGE)])
        self.failureResultOf(self.normalise(KEY, gone.SerializeToString()), FailedPrecondition)
        nothing = digest_of(b"", DigestFunction.SHA256)
        empty = pb.ActionResult(
            output_directories=[pb.OutputDirectory(tree_digest=pb.Digest(hash=nothing.hash))]
        )
        result = self.successResultOf(self.normalise(KEY, empty.SerializeToString()))
        self.assertEqual(result.references, ())
