"""Stores in memory, and a call, for the tests of the services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import Aborted, DigestMismatch, StatusError
from gorego_tw.interfaces import IBlobBody, IUpload
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.storage.empty_blob import EmptyBlob
from gorego_tw.storage.memory import MemoryBlobs, MemoryUploads

T = TypeVar("T")
SHA256 = DigestFunction.SHA256


class FakeCall:
    """A call with the headers given."""

    path = "/package.Service/Method"
    peer = "192.0.2.1:1234"

    def __init__(
        self, metadata: dict[str, str] | None = None, binary: dict[str, bytes] | None = None
    ) -> None:
        self._metadata = metadata or {}
        self._binary = binary or {}
        self._shared: dict[object, object] = {}

    def metadata(self, name: str) -> str | None:
        """The header, or None."""
        return self._metadata.get(name)

    def binary_metadata(self, name: str) -> bytes | None:
        """The header, or None."""
        return self._binary.get(name)

    def carries(self, names: frozenset[bytes]) -> bool:
        """Whether there is any of them."""
        return any(name.decode() in {*self._metadata, *self._binary} for name in names)

    @property
    def shared(self) -> dict[object, object]:
        """Of this call alone."""
        return self._shared

    def time_remaining(self) -> float | None:
        """No deadline."""
        return None


class FakeBlobs(EmptyBlob):
    """Blobs in memory; the empty ones are always there. Writes down what it is asked.

    :ivar failures: what asking for a blob, or putting it, fails with.
    """

    def __init__(self) -> None:
        self.store = MemoryBlobs()
        super().__init__(self.store)
        self.failures: dict[Digest, StatusError] = {}
        self.gets: list[Digest] = []
        self.questions: list[list[Digest]] = []

    @property
    def held(self) -> dict[Digest, bytes]:
        """What is kept."""
        return self.store.blobs

    def add(self, data: bytes, function: DigestFunction = SHA256) -> Digest:
        """Hold the data; its digest."""
        digest = digest_of(data, function)
        self.held[digest] = data
        return digest

    async def get(self, digest: Digest) -> IBlobBody:
        """The blob."""
        self.gets.append(digest)
        if digest in self.failures:
            raise self.failures[digest]
        return await super().get(digest)

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """Hold the blob."""
        if digest in self.failures:
            body.discard()
            raise self.failures[digest]
        await super().put(digest, body)

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """Those not held."""
        self.questions.append(list(digests))
        return await super().find_missing(digests)


@implementer(IUpload)
class FakeUpload:
    """One upload of a ``FakeUploads``; writes down what it is given and how it ends."""

    def __init__(self, base: IUpload, failure: StatusError | None) -> None:
        self._base = base
        self._failure = failure
        self.pieces: list[bytes | memoryview] = []
        self.end = ""

    @property
    def committed_size(self) -> int:
        """How many bytes are held."""
        return self._base.committed_size

    async def write(self, data: bytes | memoryview) -> None:
        """Take the data."""
        assert not self.end
        if self._failure is not None:
            self.end = "aborted" if isinstance(self._failure, Aborted) else ""
            raise self._failure
        self.pieces.append(data)
        try:
            await self._base.write(data)
        except DigestMismatch:
            self.end = "dropped"
            raise

    async def commit(self) -> None:
        """Put the blob."""
        assert not self.end
        self.end = "dropped"
        await self._base.commit()
        self.end = "committed"

    async def suspend(self) -> None:
        """Keep what came."""
        assert not self.end
        self.end = "suspended"
        await self._base.suspend()

    async def abandon(self) -> None:
        """Drop what came."""
        assert not self.end
        self.end = "dropped"
        await self._base.abandon()


class FakeUploads(MemoryUploads):
    """Uploads in memory; whole ones go to ``blobs``.

    :ivar opened: each that was opened.
    :ivar failure: what writing fails with.
    """

    def __init__(self, blobs: FakeBlobs) -> None:
        super().__init__(blobs.store)
        self.opened: list[FakeUpload] = []
        self.failure: StatusError | None = None

    @property
    def held(self) -> dict[str, bytearray]:
        """What came of each that is not whole."""
        return self.partial

    def hold(self, name: str, data: bytes) -> None:
        """An earlier call has left the data."""
        self.partial[name] = bytearray(data)

    async def open(self, name: str, digest: Digest) -> IUpload:
        """The upload of that name."""
        upload = FakeUpload(await super().open(name, digest), self.failure)
        self.opened.append(upload)
        return upload


def message_of(digest: Digest) -> pb.Digest:
    """The digest as a message."""
    return pb.Digest(hash=digest.hash, size_bytes=digest.size_bytes)


async def stream(items: Iterable[T | Exception | Deferred[Any]]) -> AsyncIterator[T]:
    """The items one after the other; exceptions are raised, Deferreds waited for."""
    for item in items:
        if isinstance(item, Exception):
            raise item
        if isinstance(item, Deferred):
            await item
        else:
            yield item


async def collect(replies: AsyncIterator[T]) -> list[T]:
    """All that comes."""
    return [reply async for reply in replies]


class ServiceTestCase(SynchronousTestCase):
    """Runs coroutines that never have to wait, and looks at their failures."""

    def result_of(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        """What the coroutine returns at once."""
        result: T = self.successResultOf(Deferred.fromCoroutine(coroutine))
        return result

    def assert_fails(
        self,
        coroutine: Coroutine[Deferred[Any], Any, object],
        kind: type[StatusError],
        *fragments: str,
    ) -> None:
        """The coroutine fails at once, with a message that has all the fragments."""
        failure = self.failureResultOf(Deferred.fromCoroutine(coroutine), kind)
        error = failure.value
        assert isinstance(error, StatusError)
        self.assertEqual(error.code, kind.code)
        for fragment in fragments:
            self.assertIn(fragment, error.message)
        self.assertLess(len(error.message), 1000)
