"""Tests of gorego_tw.reapi.action_cache, references and inlining."""

from __future__ import annotations

from gorego_tw.digest import Digest, DigestFunction, digest_of, empty_digest
from gorego_tw.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    StatusError,
    Unavailable,
)
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.action_cache import ActionCache
from gorego_tw.reapi.limits import Limits
from tests.reapi.fakes import (
    SHA256,
    FakeBlobs,
    FakeCall,
    FakeResults,
    ServiceTestCase,
    message_of,
)

ACTION = digest_of(b"action", SHA256)
CALL = FakeCall()


def output(path: str, digest: Digest) -> pb.OutputFile:
    """An output file."""
    return pb.OutputFile(path=path, digest=message_of(digest))


def node(name: str, digest: Digest) -> pb.FileNode:
    """A file in a directory."""
    return pb.FileNode(name=name, digest=message_of(digest))


class ActionCacheTestCase(ServiceTestCase):
    """A service with empty stores."""

    def setUp(self) -> None:
        """Empty stores."""
        self.results = FakeResults()
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
        (stored,) = self.results.held.values()
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
        self.assertEqual(self.results.held, {})

    def hold(self, result: pb.ActionResult, instance_name: str = "") -> bytes:
        """Store the result; its bytes."""
        data = result.SerializeToString()
        self.results.held[ActionKey(instance_name, ACTION)] = StoredActionResult(data, ())
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
        self.results.held[ActionKey("", ACTION)] = StoredActionResult(data, ())
        self.assertIs(self.get(), data)
        self.assertEqual((self.blobs.gets, self.blobs.questions), ([], []))

    def test_miss(self) -> None:
        """No result is NOT_FOUND, naming the action."""
        request = pb.GetActionResultRequest(action_digest=message_of(ACTION))
        call = self.service.get_action_result(request, CALL)
        self.assert_fails(call, NotFound, str(ACTION), "no such action result")

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


class UpdateActionResultTests(ActionCacheTestCase):
    """UpdateActionResult."""

    def test_kept(self) -> None:
        """A result is kept under instance name and action, and answered."""
        self.update(pb.ActionResult(exit_code=3), instance_name="a/b")
        self.assertEqual(list(self.results.held), [ActionKey("a/b", ACTION)])

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
        result = pb.ActionResult(
            stdout_digest=message_of(empty), output_files=[output("a", empty)]
        )
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
        result = pb.ActionResult(stdout_raw=bytes(Limits().max_action_result_bytes))
        self.update_refused(result, InvalidArgument, "at most", "CAS")


class TreeReferenceTests(ActionCacheTestCase):
    """Output directories."""

    def setUp(self) -> None:
        """Some files, which need not exist."""
        super().setUp()
        self.files = [digest_of(b"%d" % n, SHA256) for n in range(3)]

    def tree(self, *directories: pb.Directory) -> Digest:
        """Hold a Tree of these."""
        tree = pb.Tree(root=directories[0], children=directories[1:])
        return self.blobs.add(tree.SerializeToString())

    def result(self, tree: Digest | None = None, root: Digest | None = None) -> pb.ActionResult:
        """A result with one output directory."""
        directory = pb.OutputDirectory(path="out/dir")
        if tree is not None:
            directory.tree_digest.CopyFrom(message_of(tree))
        if root is not None:
            directory.root_directory_digest.CopyFrom(message_of(root))
        return pb.ActionResult(output_directories=[directory])

    def test_tree(self) -> None:
        """The Tree itself and the files of all of its directories."""
        one, two, three = self.files
        tree = self.tree(
            pb.Directory(files=[node("1", one), node("e", empty_digest(SHA256))]),
            pb.Directory(files=[node("2", two), node("1", one)]),
            pb.Directory(
                files=[node("3", three)], symlinks=[pb.SymlinkNode(name="s", target="t")]
            ),
        )
        stored = self.update(self.result(tree))
        self.assertEqual(stored.references, (tree, one, two, three))

    def test_empty_tree(self) -> None:
        """The empty blob is a Tree without files."""
        self.assertEqual(self.update(self.result(empty_digest(SHA256))).references, ())

    def test_root_directory(self) -> None:
        """Root directory, all directories below it, and their files."""
        one, two, _ = self.files
        leaf = self.blobs.add(pb.Directory(files=[node("2", two)]).SerializeToString())
        root = self.blobs.add(
            pb.Directory(
                files=[node("1", one)],
                directories=[
                    pb.DirectoryNode(name="d", digest=message_of(leaf)),
                    pb.DirectoryNode(name="e", digest=message_of(empty_digest(SHA256))),
                ],
            ).SerializeToString()
        )
        stored = self.update(self.result(root=root))
        self.assertEqual(set(stored.references), {root, leaf, one, two})
        self.assertEqual(len(stored.references), 4)

    def test_both(self) -> None:
        """A Tree and a root directory together."""
        directory = pb.Directory(files=[node("1", self.files[0])])
        tree, root = self.tree(directory), self.blobs.add(directory.SerializeToString())
        stored = self.update(self.result(tree, root))
        self.assertEqual(set(stored.references), {tree, root, self.files[0]})

    def test_neither(self) -> None:
        """An output directory without a digest is refused."""
        self.update_refused(
            self.result(), InvalidArgument, "'out/dir'", "neither tree_digest nor"
        )

    def test_absent_tree(self) -> None:
        """A Tree that is not there yet is FAILED_PRECONDITION, so a later get is NOT_FOUND.

        Without it nobody knows which files to look for.
        """
        tree = digest_of(b"tree", SHA256)
        self.update_refused(
            self.result(tree), FailedPrecondition, "'out/dir'", f"Tree {tree}", "upload"
        )
        request = pb.GetActionResultRequest(action_digest=message_of(ACTION))
        self.assert_fails(self.service.get_action_result(request, CALL), NotFound)

    def test_absent_directory(self) -> None:
        """A directory of the chain that is not there is FAILED_PRECONDITION."""
        absent = digest_of(b"absent", SHA256)
        parent = pb.Directory(
            directories=[pb.DirectoryNode(name="d", digest=message_of(absent))]
        )
        root = self.blobs.add(parent.SerializeToString())
        for start in (absent, root):
            self.update_refused(
                self.result(root=start), FailedPrecondition, f"Directory {absent}"
            )

    def test_trouble(self) -> None:
        """A store in trouble is not absence."""
        tree = self.tree(pb.Directory())
        self.blobs.failures[tree] = Unavailable("backing cache: no route")
        self.update_refused(self.result(tree), Unavailable, "no route")

    def test_no_tree(self) -> None:
        """A blob that is not a Tree, or not a Directory, is refused."""
        blob = self.blobs.add(b"\xff\xff")
        self.update_refused(self.result(blob), InvalidArgument, str(blob), "is not a Tree")
        self.update_refused(self.result(root=blob), InvalidArgument, "is not a Directory")

    def test_malformed_file(self) -> None:
        """A malformed digest in a Tree is named with its place."""
        bad = pb.FileNode(name="x.o", digest=pb.Digest(hash="a"))
        tree = self.tree(pb.Directory(), pb.Directory(files=[bad]))
        self.update_refused(self.result(tree), InvalidArgument, "'out/dir'", "'x.o'")

    def test_too_large(self) -> None:
        """Trees and chains of directories are bounded."""
        self.service = ActionCache(
            self.results, self.blobs, Limits(max_tree_bytes=10, max_tree_directories=1)
        )
        tree = self.tree(pb.Directory(files=[node("1", self.files[0])]))
        self.update_refused(self.result(tree), InvalidArgument, "10 at most")
        leaf = self.blobs.add(pb.Directory(files=[node("1", self.files[0])]).SerializeToString())
        parent = pb.Directory(directories=[pb.DirectoryNode(name="d", digest=message_of(leaf))])
        root = self.blobs.add(parent.SerializeToString())
        self.update_refused(self.result(root=root), ResourceExhausted, "more than 1 ")
