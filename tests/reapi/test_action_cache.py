"""Tests of gorego_tw.reapi.action_cache."""

from __future__ import annotations

from gorego_tw.digest import Digest, DigestFunction, digest_of, empty_digest
from gorego_tw.errors import (
    InvalidArgument,
    NotFound,
    StatusError,
)
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.action_cache import ActionCache
from gorego_tw.reapi.limits import Limits
from gorego_tw.storage.memory import MemoryActionResults
from tests.reapi.fakes import (
    SHA256,
    FakeBlobs,
    FakeCall,
    ServiceTestCase,
    message_of,
)

ACTION = digest_of(b"action", SHA256)
CALL = FakeCall()


def output(path: str, digest: Digest) -> pb.OutputFile:
    """An output file."""
    return pb.OutputFile(path=path, digest=message_of(digest))


class ActionCacheTestCase(ServiceTestCase):
    """A service with empty stores."""

    def setUp(self) -> None:
        """Empty stores."""
        self.results = MemoryActionResults()
        self.blobs = FakeBlobs()
        self.service = ActionCache(self.results, self.blobs, Limits())

    def update(
        self, result: pb.ActionResult, action: Digest = ACTION, **fields: object
    ) -> StoredActionResult:
        """What is stored of the result."""
        request = pb.UpdateActionResultRequest(
            action_digest=message_of(action),
            action_result=result,
            **fields,  # type: ignore[arg-type]
        )
        reply = self.result_of(self.service.update_action_result(request, CALL))
        self.assertEqual(pb.ActionResult.FromString(reply), result)
        (stored,) = self.results.results.values()
        self.assertEqual(pb.ActionResult.FromString(stored.data), result)
        return stored

    def update_refused(
        self, result: pb.ActionResult, kind: type[StatusError], *fragments: str
    ) -> None:
        """The result is refused and not stored."""
        request = pb.UpdateActionResultRequest(
            action_digest=message_of(ACTION), action_result=result
        )
        call = self.service.update_action_result(request, CALL)
        self.assert_fails(call, kind, *fragments)
        self.assertEqual(self.results.results, {})

    def hold(self, result: pb.ActionResult, instance_name: str = "") -> bytes:
        """Store the result; its bytes."""
        data = result.SerializeToString()
        self.results.results[ActionKey(instance_name, ACTION)] = StoredActionResult(data, ())
        return data

    def get(self, **fields: object) -> bytes:
        """The bytes that GetActionResult answers."""
        request = pb.GetActionResultRequest(
            action_digest=message_of(ACTION),
            **fields,  # type: ignore[arg-type]
        )
        return self.result_of(self.service.get_action_result(request, CALL))


class GetActionResultTests(ActionCacheTestCase):
    """GetActionResult without inlining."""

    def test_hit(self) -> None:
        """The bytes stored are answered as they are, even if they are no action result."""
        data = b"\xff not a message"
        self.results.results[ActionKey("", ACTION)] = StoredActionResult(data, ())
        self.assertIs(self.get(), data)
        self.assertEqual((self.blobs.gets, self.blobs.questions), ([], []))

    def test_miss(self) -> None:
        """No result is NOT_FOUND, naming the action."""
        request = pb.GetActionResultRequest(action_digest=message_of(ACTION))
        call = self.service.get_action_result(request, CALL)
        self.assert_fails(call, NotFound, str(ACTION))

    def test_instance_names(self) -> None:
        """Results of two instance names never meet."""
        data = self.hold(pb.ActionResult(exit_code=1), "a/b")
        self.assertEqual(self.get(instance_name="a/b"), data)
        request = pb.GetActionResultRequest(action_digest=message_of(ACTION))
        self.assert_fails(self.service.get_action_result(request, CALL), NotFound)

    def test_functions(self) -> None:
        """Results of two digest functions never meet either."""
        data = self.hold(pb.ActionResult(exit_code=1))
        self.assertEqual(self.get(digest_function=pb.DigestFunction.SHA256), data)
        request = pb.GetActionResultRequest(
            action_digest=message_of(ACTION), digest_function=pb.DigestFunction.BLAKE3
        )
        self.assert_fails(self.service.get_action_result(request, CALL), NotFound)

    def test_malformed(self) -> None:
        """A malformed digest, function or instance name is refused."""
        for request, fragments in (
            (pb.GetActionResultRequest(), ("action_digest", "0 characters")),
            (
                pb.GetActionResultRequest(action_digest=pb.Digest(hash=ACTION.hash.upper())),
                ("action_digest", "lower-case"),
            ),
            (pb.GetActionResultRequest(digest_function=pb.DigestFunction.VSO), ("VSO",)),
            (pb.GetActionResultRequest(instance_name="a//b"), ("empty segment",)),
        ):
            call = self.service.get_action_result(request, CALL)
            self.assert_fails(call, InvalidArgument, *fragments)


class UpdateActionResultTests(ActionCacheTestCase):
    """UpdateActionResult."""

    def test_kept(self) -> None:
        """A result is kept under instance name and action, and answered."""
        self.update(pb.ActionResult(exit_code=3), instance_name="a/b")
        self.assertEqual(list(self.results.results), [ActionKey("a/b", ACTION)])

    def test_action_need_not_exist(self) -> None:
        """The Action is not asked for: other clients name results by anything."""
        self.update(pb.ActionResult())
        self.assertEqual((self.blobs.gets, self.blobs.questions), ([], []))

    def test_flat_references(self) -> None:
        """stdout, stderr and output files, each once; symlinks refer to nothing."""
        one, two = digest_of(b"one", SHA256), digest_of(b"two", SHA256)
        result = pb.ActionResult(
            stdout_digest=message_of(one),
            stderr_digest=message_of(two),
            output_files=[output("a", two), output("b", one)],
            output_symlinks=[pb.OutputSymlink(path="s", target="t")],
        )
        self.assertEqual(self.update(result).references, (one, two))

    def test_empty_blob(self) -> None:
        """The empty blob is no reference."""
        empty = empty_digest(SHA256)
        result = pb.ActionResult(stdout_digest=message_of(empty), output_files=[output("a", empty)])
        self.assertEqual(self.update(result).references, ())

    def test_functions(self) -> None:
        """The digests of a result have the digest function of its action."""
        blake3 = DigestFunction.BLAKE3
        out = digest_of(b"out", blake3)
        stored = self.update(
            pb.ActionResult(stdout_digest=message_of(out)),
            digest_of(b"action", blake3),
            digest_function=pb.DigestFunction.BLAKE3,
        )
        self.assertEqual(stored.references, (out,))

    def test_no_result(self) -> None:
        """A request without a result is refused."""
        request = pb.UpdateActionResultRequest(action_digest=message_of(ACTION))
        call = self.service.update_action_result(request, CALL)
        self.assert_fails(call, InvalidArgument, "action_result is not set", str(ACTION))

    def test_malformed_key(self) -> None:
        """A malformed action digest is refused."""
        request = pb.UpdateActionResultRequest(action_digest=pb.Digest(hash="a"))
        call = self.service.update_action_result(request, CALL)
        self.assert_fails(call, InvalidArgument, "action_digest", "1 characters")

    def test_malformed_digests(self) -> None:
        """A malformed digest in a result is named with its field."""
        bad = pb.Digest(hash="a")
        for result, fragment in (
            (pb.ActionResult(stdout_digest=bad), "stdout_digest"),
            (pb.ActionResult(stderr_digest=bad), "stderr_digest"),
            (
                pb.ActionResult(output_files=[pb.OutputFile(path="x.o", digest=bad)]),
                "output_files['x.o']",
            ),
            (pb.ActionResult(output_files=[pb.OutputFile(path="x.o")]), "output_files['x.o']"),
        ):
            self.update_refused(result, InvalidArgument, fragment, "64 lower-case")

    def test_too_large(self) -> None:
        """A result that no reply could hold is refused."""
        files = [output("x" * 1_000_000, empty_digest(SHA256)) for _ in range(5)]
        result = pb.ActionResult(output_files=files)
        self.update_refused(result, InvalidArgument, str(ACTION), "5000", "at most")
