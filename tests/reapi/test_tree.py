"""Tests of gorego_tw.reapi.tree and tree_pages, through GetTree."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gorego_tw.digest import Digest, DigestFunction, digest_of, empty_digest
from gorego_tw.errors import InvalidArgument, NotFound, ResourceExhausted
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.cas import ContentAddressableStorage
from gorego_tw.reapi.limits import Limits
from gorego_tw.turns import Turns
from tests.reapi.fakes import (
    SHA256,
    FakeBlobs,
    FakeCall,
    ServiceTestCase,
    collect,
    message_of,
)
from tests.test_turns import turns_taken


class GetTreeTests(ServiceTestCase):
    """GetTree."""

    def setUp(self) -> None:
        """A store without blobs."""
        self.blobs = FakeBlobs()
        self.service = ContentAddressableStorage(self.blobs, Limits())

    def directory(
        self, *children: Digest, file: str = "", function: DigestFunction = SHA256
    ) -> Digest:
        """Hold a Directory with these children, and a file to tell it from others."""
        directory = pb.Directory(
            files=[pb.FileNode(name=file)] if file else [],
            directories=[
                pb.DirectoryNode(name=f"d{n}", digest=message_of(child))
                for n, child in enumerate(children)
            ],
        )
        return self.blobs.add(directory.SerializeToString(), function)

    def test_in_turns(self) -> None:
        """Some directories are read in each turn of the reactor, and some of the nodes of a large one."""
        clock = Clock()
        self.service = ContentAddressableStorage(self.blobs, Limits(), turns=Turns(clock))
        children = [self.directory(file=str(n)) for n in range(400)]
        wide = self.directory(*children * 20)
        call = Deferred.fromCoroutine(
            collect(self.service.get_tree(self.request(wide), FakeCall()))
        )
        self.assertGreater(turns_taken(clock, call), 400 // 64 + 2)
        (page,) = self.successResultOf(call)
        self.assertEqual(len(page.directories), 401)

    def parsed(self, digest: Digest) -> pb.Directory:
        """The Directory held."""
        return pb.Directory.FromString(self.blobs.held[digest])

    def pages(
        self, root: Digest, size: int = 0, token: str = "", function: int = 0
    ) -> list[pb.GetTreeResponse]:
        """The replies."""
        request = self.request(root, size, token)
        request.digest_function = function  # type: ignore[assignment]
        return self.result_of(collect(self.service.get_tree(request, FakeCall())))

    def request(self, root: Digest, size: int = 0, token: str = "") -> pb.GetTreeRequest:
        """A request."""
        return pb.GetTreeRequest(root_digest=message_of(root), page_size=size, page_token=token)

    def refused(self, request: pb.GetTreeRequest, kind: type[Exception], *parts: str) -> None:
        """The request fails like that."""
        call = collect(self.service.get_tree(request, FakeCall()))
        self.assert_fails(call, kind, *parts)  # type: ignore[arg-type]

    def test_whole(self) -> None:
        """All directories come, the root first, each parent before its children."""
        leaf = self.directory(file="leaf")
        middle = self.directory(leaf)
        root = self.directory(middle, file="root")
        (page,) = self.pages(root)
        self.assertEqual(list(page.directories), [*map(self.parsed, (root, middle, leaf))])
        self.assertEqual(page.next_page_token, "")

    def test_each_once(self) -> None:
        """A directory that is in several places comes once."""
        leaf = self.directory(file="leaf")
        middle = self.directory(leaf, leaf)
        (page,) = self.pages(self.directory(leaf, middle, leaf))
        self.assertEqual(len(page.directories), 3)

    def test_functions(self) -> None:
        """Children have the digest function of the root."""
        blake3 = DigestFunction.BLAKE3
        leaf = self.directory(file="leaf", function=blake3)
        root = self.directory(leaf, function=blake3)
        (page,) = self.pages(root, function=blake3)
        self.assertEqual(len(page.directories), 2)

    def test_empty_root(self) -> None:
        """The empty blob is a directory without anything."""
        (page,) = self.pages(empty_digest(SHA256))
        self.assertEqual(list(page.directories), [pb.Directory()])

    def test_missing_child(self) -> None:
        """A child that is absent is left out, with what is below it."""
        missing = digest_of(b"missing", SHA256)
        root = self.directory(missing, self.directory(file="leaf"))
        (page,) = self.pages(root)
        self.assertEqual(len(page.directories), 2)

    def test_missing_root(self) -> None:
        """An absent root is NOT_FOUND."""
        missing = digest_of(b"missing", SHA256)
        self.refused(self.request(missing), NotFound, "root_digest", str(missing))

    def test_malformed(self) -> None:
        """A malformed root digest, and a negative page size, are refused."""
        request = pb.GetTreeRequest(root_digest=pb.Digest(hash="a"))
        self.refused(request, InvalidArgument, "root_digest", "1 characters")
        root = self.directory()
        self.refused(self.request(root, -1), InvalidArgument, "page_size -1")
        request = pb.GetTreeRequest(instance_name="blobs")
        self.refused(request, InvalidArgument, "'blobs'")

    def test_no_directory(self) -> None:
        """A blob that is not a Directory is named."""
        blob = self.blobs.add(b"\xff\xff")
        self.refused(self.request(blob), InvalidArgument, str(blob), "not a Directory")

    def test_malformed_child(self) -> None:
        """A malformed digest in a Directory is named with its place."""
        node = pb.DirectoryNode(name="lib", digest=pb.Digest(hash="a"))
        root = self.blobs.add(pb.Directory(directories=[node]).SerializeToString())
        self.refused(self.request(root), InvalidArgument, str(root), "'lib'")

    def test_pages(self) -> None:
        """No page has more directories than asked for, and all together have each once."""
        root = self.directory(*(self.directory(file=f"{n}") for n in range(40)))
        whole = list(self.pages(root)[0].directories)
        pages = self.pages(root, 7)
        self.assertEqual([len(page.directories) for page in pages], [7] * 5 + [6])
        self.assertEqual([d for page in pages for d in page.directories], whole)

    def test_token(self) -> None:
        """From the token of any page another process goes on where that page ended."""
        root = self.directory(*(self.directory(file=f"{n}") for n in range(40)))
        pages = self.pages(root, 7)
        for at, page in enumerate(pages[:-1]):
            self.service = ContentAddressableStorage(self.blobs, Limits())
            self.assertEqual(self.pages(root, 7, page.next_page_token), pages[at + 1 :])
        self.assertEqual(pages[-1].next_page_token, "")

    def test_exact_page(self) -> None:
        """A tree that fills a page exactly has one page."""
        root = self.directory(self.directory(file="leaf"))
        self.assertEqual([len(page.directories) for page in self.pages(root, 2)], [2])

    def test_bad_token(self) -> None:
        """A token of another tree, or none at all, is refused."""
        root, other = self.directory(file="a"), self.directory(file="b")
        big = self.directory(root, other)
        token = self.pages(big, 1)[0].next_page_token
        for wrong in (token[:-4], "é", "AAAA", "x"):
            self.refused(self.request(big, 1, wrong), InvalidArgument, "page_token")
        self.refused(self.request(root, 1, token), InvalidArgument, "page_token", str(root))

    def test_token_of_what_is_gone(self) -> None:
        """If the directory a token goes on after is gone, that is said, and nothing is lost."""
        leaf = self.directory(file="leaf")
        root = self.directory(leaf, self.directory(file="other"))
        token = self.pages(root, 2)[0].next_page_token
        del self.blobs.held[leaf]
        self.refused(self.request(root, 2, token), InvalidArgument, "begin with an empty one")

    def test_server_caps_pages(self) -> None:
        """A page has at most the server's number of directories, and fits into a message."""
        root = self.directory(*(self.directory(file=f"{n}") for n in range(10)))
        self.service = ContentAddressableStorage(self.blobs, Limits(max_tree_page=4))
        self.assertEqual([len(page.directories) for page in self.pages(root, 100)], [4, 4, 3])
        large = [self.directory(file=f"{n}" * 2_000_000) for n in range(3)]
        self.service = ContentAddressableStorage(self.blobs, Limits())
        pages = self.pages(self.directory(*large))
        self.assertEqual([len(page.directories) for page in pages], [3, 1])
        for page in pages:
            self.assertLess(page.ByteSize(), Limits().max_reply_bytes)

    def test_too_wide(self) -> None:
        """A tree with too many directories is refused."""
        root = self.directory(*(self.directory(file=f"{n}") for n in range(10)))
        self.service = ContentAddressableStorage(self.blobs, Limits(max_tree_directories=10))
        self.refused(self.request(root), ResourceExhausted, str(root), "more than 10")

    def test_deep(self) -> None:
        """Depth alone is no trouble."""
        node = self.directory(file="leaf")
        for _ in range(5000):
            node = self.directory(node)
        pages = self.pages(node)
        self.assertEqual(sum(len(page.directories) for page in pages), 5001)

    def test_too_large_directory(self) -> None:
        """A Directory that no message could hold is not read."""
        large = digest_of(b"x", SHA256)._replace(size_bytes=1 << 40)
        self.refused(self.request(large), ResourceExhausted, str(large))
        self.assertEqual(self.blobs.gets, [])
