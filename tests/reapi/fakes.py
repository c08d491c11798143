"""Stores in memory, and a call, for the tests of the services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gorego_tw.body import BytesBody
from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import Aborted, DigestMismatch, NotFound, StatusError
from gorego_tw.interfaces import (
    ActionKey,
    IActionResults,
    IBlobAccess,
    IBlobBody,
    IUpload,
    IUploads,
    StoredActionResult,
)
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb

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

    def metadata(self, name: str) -> str | None:
        """The header, or None."""
        return self._metadata.get(name)

    def binary_metadata(self, name: str) -> bytes | None:
        """The header, or None."""
        return self._binary.get(name)

    def time_remaining(self) -> float | None:
        """No deadline."""
        return None


def verify(digest: Digest, data: bytes) -> None:
    """Fail as a store does if the data is not the blob."""
    if digest_of(data, digest.function) != digest:
        raise DigestMismatch(f"digest {digest}: the data is {digest_of(data, digest.function)}")


@implementer(IBlobAccess)
class FakeBlobs:
    """Blobs in a dictionary; the empty ones are always there."""

    def __init__(self) -> None:
        self.held: dict[Digest, bytes] = {}
        self.failures: dict[Digest, StatusError] = {}
        self.gets: list[Digest] = []
        self.questions: list[list[Digest]] = []

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
        if digest == digest_of(b"", digest.function):
            return BytesBody(b"")
        if digest not in self.held:
            raise NotFound(f"blob {digest} is absent")
        return BytesBody(self.held[digest])

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """Hold the blob."""
        if digest in self.failures:
            body.discard()
            raise self.failures[digest]
        data = b"".join([bytes(chunk) async for chunk in body.chunks()])
        verify(digest, data)
        self.held[digest] = data

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """Those not held."""
        self.questions.append(list(digests))
        return [
            digest
            for digest in dict.fromkeys(digests)
            if digest not in self.held and digest != digest_of(b"", digest.function)
        ]


@implementer(IActionResults)
class FakeResults:
    """Action results in a dictionary."""

    def __init__(self) -> None:
        self.held: dict[ActionKey, StoredActionResult] = {}

    async def get(self, key: ActionKey) -> StoredActionResult:
        """The action result."""
        if key not in self.held:
            raise NotFound("no such action result")
        return self.held[key]

    async def put(self, key: ActionKey, result: StoredActionResult) -> None:
        """Hold it."""
        self.held[key] = result


@implementer(IUpload)
class FakeUpload:
    """One upload of a ``FakeUploads``; what it holds is written down there when it ends."""

    def __init__(self, uploads: FakeUploads, name: str, digest: Digest) -> None:
        self._uploads = uploads
        self._name = name
        self._digest = digest
        self.data = uploads.held.pop(name, b"")
        self.pieces: list[bytes | memoryview] = []
        self.end = ""
        self.failure: StatusError | None = None

    @property
    def committed_size(self) -> int:
        """How many bytes are held."""
        return len(self.data)

    async def write(self, data: bytes | memoryview) -> None:
        """Take the data."""
        assert not self.end
        if self.failure is not None:
            self.end = "aborted" if isinstance(self.failure, Aborted) else ""
            raise self.failure
        self.pieces.append(data)
        self.data += data
        if len(self.data) > self._digest.size_bytes:
            self.end = "dropped"
            raise DigestMismatch(
                f"digest {self._digest}: {len(self.data)} bytes came, "
                f"the digest announces {self._digest.size_bytes}"
            )

    async def commit(self) -> None:
        """Put the blob."""
        assert not self.end
        self.end = "dropped"
        verify(self._digest, self.data)
        self.end = "committed"
        self._uploads.blobs.held[self._digest] = self.data

    async def suspend(self) -> None:
        """Keep what came."""
        assert not self.end
        self.end = "suspended"
        self._uploads.held[self._name] = self.data

    async def abandon(self) -> None:
        """Drop what came."""
        assert not self.end
        self.end = "dropped"


@implementer(IUploads)
class FakeUploads:
    """Uploads in a dictionary; whole ones go to ``blobs``."""

    def __init__(self, blobs: FakeBlobs) -> None:
        self.blobs = blobs
        self.held: dict[str, bytes] = {}
        self.opened: list[FakeUpload] = []
        self.failure: StatusError | None = None

    async def open(self, name: str, digest: Digest) -> IUpload:
        """The upload of that name."""
        upload = FakeUpload(self, name, digest)
        upload.failure = self.failure
        self.opened.append(upload)
        return upload

    async def committed_size(self, name: str) -> int:
        """How many bytes are held."""
        return len(self.held.get(name, b""))


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
