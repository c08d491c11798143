"""Tests of gorego_tw.reapi.inlining, through GetActionResult."""

from __future__ import annotations

from gorego_tw.digest import digest_of
from gorego_tw.errors import (
    Unavailable,
)
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.limits import Limits
from tests.reapi.fakes import (
    SHA256,
    message_of,
)
from tests.reapi.test_action_cache import ActionCacheTestCase, output


class InliningTests(ActionCacheTestCase):
    """GetActionResult with inlining."""

    def setUp(self) -> None:
        """A result with stdout, stderr and two files."""
        super().setUp()
        self.result = pb.ActionResult(
            stdout_digest=message_of(self.blobs.add(b"out")),
            stderr_digest=message_of(self.blobs.add(b"err")),
            output_files=[
                output("a", self.blobs.add(b"file a")),
                output("b", self.blobs.add(b"file b")),
            ],
        )
        self.hold(self.result)

    def inlined(self, **fields: object) -> pb.ActionResult:
        """The result in the reply."""
        return pb.ActionResult.FromString(self.get(**fields))

    def test_each(self) -> None:
        """What is asked for is inlined, and nothing else; the digests stay."""
        expected = pb.ActionResult.FromString(self.result.SerializeToString())
        expected.stdout_raw = b"out"
        self.assertEqual(self.inlined(inline_stdout=True), expected)
        expected.stderr_raw = b"err"
        self.assertEqual(self.inlined(inline_stdout=True, inline_stderr=True), expected)
        expected.ClearField("stdout_raw")
        expected.ClearField("stderr_raw")
        expected.output_files[1].contents = b"file b"
        self.assertEqual(self.inlined(inline_output_files=["b", "unknown"]), expected)

    def test_nothing_to_inline(self) -> None:
        """A result without stdout and stderr stays as it is."""
        data = self.hold(pb.ActionResult(exit_code=1))
        self.assertEqual(self.get(inline_stdout=True, inline_stderr=True), data)

    def test_inlined_already(self) -> None:
        """What the client that stored the result inlined is not read."""
        self.result.stdout_raw = b"raw"
        self.hold(self.result)
        self.assertEqual(self.inlined(inline_stdout=True).stdout_raw, b"raw")
        self.assertEqual(self.blobs.gets, [])

    def test_budget(self) -> None:
        """What does not fit is left out, unread; something smaller after it still comes."""
        large = self.blobs.add(bytes(Limits().max_inline_bytes))
        self.result.stdout_digest.CopyFrom(message_of(large))
        self.hold(self.result)
        reply = self.inlined(inline_stdout=True, inline_stderr=True)
        self.assertEqual((reply.stdout_raw, reply.stderr_raw), (b"", b"err"))
        self.assertNotIn(large, self.blobs.gets)

    def test_reply_fits(self) -> None:
        """However much is asked for, the reply stays within the budget."""
        files = [output(f"{n}", self.blobs.add(b"%d" % n + bytes(400_000))) for n in range(10)]
        self.hold(pb.ActionResult(output_files=files))
        data = self.get(inline_output_files=[file.path for file in files])
        self.assertLess(len(data), Limits().max_inline_bytes)
        self.assertGreater(len(data), 2_800_000)

    def test_unreadable(self) -> None:
        """A blob that is absent or cannot be read is left out: inlining is a wish."""
        out = digest_of(b"out", SHA256)
        self.blobs.failures[out] = Unavailable("backing cache: no route")
        del self.blobs.held[digest_of(b"err", SHA256)]
        self.assertEqual(self.inlined(inline_stdout=True, inline_stderr=True), self.result)
