"""Tests of gorego_tw.reapi.outlining, through UpdateActionResult."""

from __future__ import annotations

from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import DigestMismatch, InvalidArgument, ResourceExhausted
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from tests.reapi.fakes import SHA256, message_of
from tests.reapi.test_action_cache import ACTION, CALL, ActionCacheTestCase, output

OUT, ERR, FILE = (digest_of(data, SHA256) for data in (b"out", b"err", b"file"))


class OutliningTests(ActionCacheTestCase):
    """Results that arrive with blobs inside."""

    def outlined(self, result: pb.ActionResult, action: Digest = ACTION) -> pb.ActionResult:
        """What is answered, which is what is stored."""
        request = pb.UpdateActionResultRequest(
            action_digest=message_of(action),
            action_result=result,
            digest_function=int(action.function),  # type: ignore[arg-type]
        )
        reply = self.result_of(self.service.update_action_result(request, CALL))
        (stored,) = self.results.results.values()
        self.assertEqual(stored.data, reply)
        return pb.ActionResult.FromString(reply)

    def test_all(self) -> None:
        """What is inlined becomes blobs, and only the digests stay."""
        inlined = pb.ActionResult(
            stdout_raw=b"out",
            stdout_digest=message_of(OUT),
            stderr_raw=b"err",
            stderr_digest=message_of(ERR),
            output_files=[pb.OutputFile(path="f", digest=message_of(FILE), contents=b"file")],
        )
        expected = pb.ActionResult(
            stdout_digest=message_of(OUT),
            stderr_digest=message_of(ERR),
            output_files=[output("f", FILE)],
        )
        self.assertEqual(self.outlined(inlined), expected)
        self.assertEqual(self.blobs.held, {OUT: b"out", ERR: b"err", FILE: b"file"})
        (stored,) = self.results.results.values()
        self.assertEqual(stored.references, (OUT, ERR, FILE))

    def test_no_digest(self) -> None:
        """Stdout and stderr without a digest get one, in the function of the action."""
        action = digest_of(b"action", DigestFunction.BLAKE3)
        reply = self.outlined(pb.ActionResult(stdout_raw=b"out", stderr_raw=b"err"), action)
        out, err = (digest_of(data, DigestFunction.BLAKE3) for data in (b"out", b"err"))
        self.assertEqual(
            reply, pb.ActionResult(stdout_digest=message_of(out), stderr_digest=message_of(err))
        )
        self.assertEqual(self.blobs.held, {out: b"out", err: b"err"})

    def test_comes_back(self) -> None:
        """A client that asks for it gets inlined what another one had inlined."""
        self.outlined(pb.ActionResult(stdout_raw=b"out"))
        reply = pb.ActionResult.FromString(self.get(inline_stdout=True))
        self.assertEqual(reply.stdout_raw, b"out")
        self.assertEqual(pb.ActionResult.FromString(self.get()).stdout_raw, b"")

    def test_large(self) -> None:
        """A result that would be too large for a reply as it came is small enough as it is kept."""
        reply = self.outlined(pb.ActionResult(stdout_raw=bytes(5_000_000)))
        self.assertEqual(reply.stdout_digest.size_bytes, 5_000_000)

    def test_mismatch(self) -> None:
        """Data that is not what the digest beside it says is refused, with the field's name."""
        for result, field in (
            (pb.ActionResult(stdout_raw=b"x", stdout_digest=message_of(OUT)), "stdout_raw"),
            (pb.ActionResult(stderr_raw=b"x", stderr_digest=message_of(OUT)), "stderr_raw"),
            (
                pb.ActionResult(
                    output_files=[pb.OutputFile(path="f", digest=message_of(OUT), contents=b"x")]
                ),
                "output_files['f'].contents",
            ),
        ):
            self.update_refused(result, DigestMismatch, field, str(OUT))
        self.assertEqual(self.blobs.held, {})

    def test_malformed(self) -> None:
        """Contents without a digest, or with a malformed one, are refused."""
        files = [pb.OutputFile(path="f", contents=b"x")]
        self.update_refused(
            pb.ActionResult(output_files=files), InvalidArgument, "output_files['f']"
        )

    def test_no_room(self) -> None:
        """A full disk is told as it is, and the result is not kept."""
        self.blobs.failures[OUT] = ResourceExhausted("disk: full")
        self.update_refused(
            pb.ActionResult(stdout_raw=b"out"), ResourceExhausted, "stdout_raw", "disk: full"
        )
