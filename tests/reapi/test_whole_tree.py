"""Tests of gorego_tw.reapi.whole_tree."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import Digest, DigestFunction, digest_of, empty_digest
from gorego_tw.errors import InvalidArgument
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.whole_tree import WholeTree
from gorego_tw.turns import ONE_TURN
from tests.reapi.fakes import SHA256, message_of

LEAF = pb.Directory(symlinks=[pb.SymlinkNode(name="s", target="t")])
#: The same, of which a client has also written a default, and a field that nobody here knows before
#: those that are known: serialized by us it has other bytes.
ODD_LEAF = b"\x22\x01x" + b"\x1a\x08" + b"\x0a\x01s\x12\x01t\x1a\x00"


def serialized(directory: pb.Directory | bytes) -> bytes:
    """Its bytes."""
    return directory if isinstance(directory, bytes) else directory.SerializeToString()


def parsed(directory: pb.Directory | bytes) -> pb.Directory:
    """What a client makes of it."""
    return pb.Directory.FromString(serialized(directory))


def named(
    *directories: pb.Directory | bytes, function: DigestFunction = SHA256
) -> list[pb.DirectoryNode]:
    """The names of directories in another one."""
    return [
        pb.DirectoryNode(name=f"d{n}", digest=message_of(digest_of(serialized(one), function)))
        for n, one in enumerate(directories)
    ]


def field(number: int, data: bytes) -> bytes:
    """A short message in a field, on the wire."""
    return bytes([number << 3 | 2, len(data)]) + data


class WholeTreeTests(SynchronousTestCase):
    def check(
        self,
        root: pb.Directory,
        *children: pb.Directory | bytes,
        function: DigestFunction = SHA256,
    ) -> None:
        """Check the Tree of these."""
        data = pb.Tree(root=root).SerializeToString()
        for child in children:
            data += field(2, serialized(child))
        ended: list[object] = []
        work = WholeTree(data, function).directories(ONE_TURN.of_one_call())
        Deferred.fromCoroutine(work).addBoth(ended.append)
        (outcome,) = ended
        if isinstance(outcome, Failure):
            outcome.raiseException()
        self.assertEqual(outcome, [root, *map(parsed, children)])

    def refused(self, absent: Digest, root: pb.Directory, *children: pb.Directory) -> None:
        """The Tree is refused, for want of that directory."""
        with self.assertRaises(InvalidArgument) as caught:
            self.check(root, *children)
        self.assertIn(f"Directory {absent}, which it names 'd", caught.exception.message)

    def test_alone(self) -> None:
        """A root without directories needs none, and others do no harm."""
        self.check(pb.Directory())
        self.check(pb.Directory(), LEAF)

    def test_root_in_pieces(self) -> None:
        """A root that is on the wire several times, or not at all, is what a client takes it for."""
        pieces = pb.Directory(directories=named(LEAF)), pb.Directory(directories=named(ODD_LEAF))
        children: tuple[pb.Directory | bytes, ...] = LEAF, ODD_LEAF
        whole = pb.Directory(directories=[*pieces[0].directories, *pieces[1].directories])
        for roots, root in ((pieces, whole), ((), pb.Directory())):
            data = b"".join(
                pb.Tree(root=piece).SerializeToString() + field(2, serialized(child))
                for piece, child in zip(roots, children, strict=False)
            )
            read: list[pb.Directory] = []
            work = WholeTree(data, SHA256).directories(ONE_TURN.of_one_call())
            Deferred.fromCoroutine(work).addCallback(read.extend)
            self.assertEqual(read[0], root)
            self.assertEqual(read[0], pb.Tree.FromString(data).root)

    def test_whole(self) -> None:
        """Directories may be named at any depth and more than once, and follow in any order."""
        middle = pb.Directory(directories=named(LEAF))
        root = pb.Directory(directories=named(LEAF, middle))
        self.check(root, middle, LEAF)
        self.check(root, LEAF, middle)

    def test_absent(self) -> None:
        """A directory that is named and not there makes the Tree worthless, at any depth."""
        middle = pb.Directory(directories=named(LEAF))
        leaf = digest_of(LEAF.SerializeToString(), SHA256)
        self.refused(leaf, pb.Directory(directories=named(LEAF)))
        self.refused(leaf, pb.Directory(directories=named(middle)), middle)

    def test_out_of_reach(self) -> None:
        """What no directory names needs nothing."""
        self.check(
            pb.Directory(directories=named(LEAF)), LEAF, pb.Directory(directories=named(b"x"))
        )

    def test_size(self) -> None:
        """The size is a part of the name."""
        (node,) = named(LEAF)
        node.digest.size_bytes += 1
        wrong = Digest(digest_of(LEAF.SerializeToString(), SHA256).key, node.digest.size_bytes)
        self.refused(wrong, pb.Directory(directories=[node]), LEAF)

    def test_empty(self) -> None:
        """The empty directory is always there."""
        node = pb.DirectoryNode(name="e", digest=message_of(empty_digest(SHA256)))
        self.check(pb.Directory(directories=[node]))

    def test_bytes(self) -> None:
        """What counts are the bytes in the Tree, not those that we would write."""
        self.assertNotEqual(pb.Directory.FromString(ODD_LEAF).SerializeToString(), ODD_LEAF)
        self.check(pb.Directory(directories=named(ODD_LEAF)), ODD_LEAF)

    def test_functions(self) -> None:
        """Directories are named with the action's function, or with that of the hash's length."""
        for function in DigestFunction:
            root = pb.Directory(directories=named(LEAF, function=function))
            self.check(root, LEAF, function=function)
        root = pb.Directory(directories=named(LEAF, function=DigestFunction.SHA1))
        self.check(root, LEAF, function=DigestFunction.BLAKE3)
        with self.assertRaises(InvalidArgument):
            self.check(root, function=DigestFunction.BLAKE3)

    def test_unknown_function(self) -> None:
        """A digest of a function that is not served is passed over: nobody can tell."""
        self.check(pb.Directory(directories=[pb.DirectoryNode(digest=pb.Digest(hash="ab" * 16))]))

    def test_malformed(self) -> None:
        """A digest of the right length that is none is refused by the name it stands at."""
        bad = pb.DirectoryNode(name="lib", digest=pb.Digest(hash="A" * 64))
        with self.assertRaises(InvalidArgument) as caught:
            self.check(pb.Directory(directories=[bad]))
        self.assertIn("directories['lib']", caught.exception.message)
