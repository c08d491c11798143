"""Tests of gorego_tw.reapi.references, through UpdateActionResult."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from gorego_tw.digest import Digest, DigestFunction, digest_of, empty_digest
from gorego_tw.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi import digests as digests_module
from gorego_tw.reapi import references as references_module
from gorego_tw.reapi.action_cache import ActionCache
from gorego_tw.reapi.digests import parse_message
from gorego_tw.reapi.limits import Limits
from gorego_tw.reapi.whole_tree import WholeTree
from gorego_tw.turns import PIECE, Turns
from tests.reapi.fakes import (
    SHA256,
    message_of,
)
from tests.reapi.test_action_cache import ACTION, CALL, ActionCacheTestCase
from tests.test_turns import turns_taken


def node(name: str, digest: Digest) -> pb.FileNode:
    """A file in a directory."""
    return pb.FileNode(name=name, digest=message_of(digest))


class LargeTreeTests(ActionCacheTestCase):
    """Trees that take much memory while they are looked at."""

    def test_one_at_a_time(self) -> None:
        """Each is looked at to its end before the next is; whoever gives up meanwhile keeps nobody from it."""
        clock = Clock()
        self.service = ActionCache(self.results, self.blobs, Limits(), Turns(clock))
        digests = [digest_of(b"%d" % n, SHA256) for n in range(4 * PIECE)]
        calls = []
        for call in range(4):
            root = pb.Directory(files=[node(f"{call} {n}", d) for n, d in enumerate(digests)])
            tree = self.blobs.add(pb.Tree(root=root).SerializeToString())
            output = pb.OutputDirectory(path="o", tree_digest=message_of(tree))
            request = pb.UpdateActionResultRequest(
                action_digest=message_of(ACTION),
                action_result=pb.ActionResult(output_directories=[output]),
            )
            work = self.service.update_action_result(request, CALL)
            calls.append(Deferred.fromCoroutine(work))
        calls[0].cancel()  # which is at work
        calls[1].cancel()  # which is by now
        calls[3].cancel()  # which waits
        for given_up in (calls[0], calls[1], calls[3]):
            self.failureResultOf(given_up, CancelledError)
        self.assertLess(turns_taken(clock, calls[2]), 8)
        self.successResultOf(calls[2])

    def test_not_at_the_same_time(self) -> None:
        """Several take their turns one after the other, and not in between each other's."""
        clock = Clock()
        self.service = ActionCache(self.results, self.blobs, Limits(), Turns(clock))
        read: list[int] = []

        class Noted(WholeTree):
            def __init__(self, data: bytes, function: DigestFunction) -> None:
                read.append(len(data))
                super().__init__(data, function)

        self.patch(references_module, "WholeTree", Noted)
        calls: list[Deferred[bytes]] = []
        files = [node(str(n), digest_of(b"%d" % n, SHA256)) for n in range(4 * PIECE)]
        tree = self.blobs.add(pb.Tree(root=pb.Directory(files=files)).SerializeToString())
        output = pb.OutputDirectory(path="o", tree_digest=message_of(tree))
        for _ in range(3):
            request = pb.UpdateActionResultRequest(
                action_digest=message_of(ACTION),
                action_result=pb.ActionResult(output_directories=[output]),
            )
            work = self.service.update_action_result(request, CALL)
            calls.append(Deferred.fromCoroutine(work))
        self.assertEqual(len(read), 1)
        for call in calls:
            turns_taken(clock, call)
            self.successResultOf(call)
        self.assertEqual(len(read), 3)


class FileReferenceTests(ActionCacheTestCase):
    """Output files."""

    def test_many(self) -> None:
        """There may be 20,000 of them, so nothing is made for the message of each that none needs."""
        digests = tuple(digest_of(b"%d" % n, SHA256) for n in range(1000))
        files = [pb.OutputFile(path=str(n), digest=message_of(d)) for n, d in enumerate(digests)]
        named: list[str] = []

        def noted(field: str, message: pb.Digest, function: DigestFunction | None) -> Digest:
            named.append(field)
            return parse_message(field, message, function)

        self.patch(digests_module, "parse_message", noted)
        self.assertEqual(self.update(pb.ActionResult(output_files=files)).references, digests)
        self.assertEqual(len(named), 1)  # what all the others have in common is known from one

    def test_in_turns(self) -> None:
        """They are looked at in several turns of the reactor, and so are the files of Trees."""
        clock = Clock()
        self.service = ActionCache(self.results, self.blobs, Limits(), Turns(clock))
        digests = [digest_of(b"%d" % n, SHA256) for n in range(8 * PIECE)]
        files = [pb.OutputFile(path=str(n), digest=message_of(d)) for n, d in enumerate(digests)]
        children = [pb.Directory(files=[node(str(n), d)]) for n, d in enumerate(digests)]
        names = [
            pb.DirectoryNode(
                name="d", digest=message_of(digest_of(child.SerializeToString(), SHA256))
            )
            for child in children
        ]
        tree = pb.Tree(root=pb.Directory(directories=names), children=children)
        tree_digest = self.blobs.add(tree.SerializeToString())
        output = pb.OutputDirectory(path="out", tree_digest=message_of(tree_digest))
        for result, turns, references in (
            (pb.ActionResult(output_files=files), 8, tuple(digests)),
            (pb.ActionResult(output_directories=[output]), 8 * 4, (tree_digest, *digests)),
        ):
            request = pb.UpdateActionResultRequest(
                action_digest=message_of(ACTION), action_result=result
            )
            call = Deferred.fromCoroutine(self.service.update_action_result(request, CALL))
            self.assertGreaterEqual(turns_taken(clock, call), turns)
            (stored,) = self.results.results.values()
            self.assertEqual(stored.references, references)


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
            pb.Directory(files=[node("3", three)], symlinks=[pb.SymlinkNode(name="s", target="t")]),
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
        self.update_refused(self.result(), InvalidArgument, "'out/dir'", "neither tree_digest nor")

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
        parent = pb.Directory(directories=[pb.DirectoryNode(name="d", digest=message_of(absent))])
        root = self.blobs.add(parent.SerializeToString())
        for start in (absent, root):
            self.update_refused(self.result(root=start), FailedPrecondition, f"Directory {absent}")

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

    def test_incomplete_tree(self) -> None:
        """A Tree that lacks a directory it names is refused: the output could not be made of it."""
        leaf = pb.Directory(files=[node("1", self.files[0])])
        digest = digest_of(leaf.SerializeToString(), SHA256)
        root = pb.Directory(directories=[pb.DirectoryNode(name="lib", digest=message_of(digest))])
        tree = self.tree(root)
        self.update_refused(
            self.result(tree), InvalidArgument, "'out/dir'", str(tree), str(digest), "'lib'"
        )
        tree = self.tree(root, leaf)
        self.assertEqual(self.update(self.result(tree)).references, (tree, self.files[0]))

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
