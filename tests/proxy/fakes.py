"""What stands in for the collaborators of the proxy's parts."""

from __future__ import annotations

from gorego_tw.digest import Digest
from gorego_tw.errors import NotFound, StatusError
from gorego_tw.interfaces import ActionKey, StoredActionResult


class RecordingPolicy:
    """A write policy that does nothing but note what it is told.

    :ivar failure: what it fails with, if anything.
    """

    def __init__(self) -> None:
        self.writes_without_backing = False
        self.told: list[tuple[str, object]] = []
        self.failure: StatusError | None = None

    async def blob_arrived(self, digest: Digest) -> None:
        """Note it."""
        self._note("arrived", digest)

    async def blob_present(self, digest: Digest) -> None:
        """Note it."""
        self._note("present", digest)

    async def store(self, key: ActionKey, result: StoredActionResult) -> None:
        """Note it."""
        self._note("store", (key, result))

    def _note(self, what: str, subject: object) -> None:
        self.told.append((what, subject))
        if self.failure is not None:
            raise self.failure


class FakeUpstreamResults:
    """The serialized action results of a backing cache.

    :ivar asked: the keys that were asked for.
    :ivar failure: what every call fails with, if anything.
    :ivar refusals: what the next writes fail with.
    """

    def __init__(self) -> None:
        self.results: dict[ActionKey, bytes] = {}
        self.asked: list[ActionKey] = []
        self.failure: StatusError | None = None
        self.refusals: list[StatusError] = []

    async def get(self, key: ActionKey) -> bytes:
        """The result."""
        self.asked.append(key)
        self._fail()
        if key not in self.results:
            raise NotFound("backing cache: no result")
        return self.results[key]

    async def put(self, key: ActionKey, data: bytes) -> None:
        """Keep the result."""
        if self.refusals:
            raise self.refusals.pop(0)
        self._fail()
        self.results[key] = data

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class FakeQueue:
    """What would be uploaded later.

    :ivar failure: what adding fails with, if anything.
    """

    def __init__(self) -> None:
        self.blobs: list[Digest] = []
        self.actions: list[ActionKey] = []
        self.failure: StatusError | None = None

    async def add_blob(self, digest: Digest) -> None:
        """Note it."""
        if self.failure is not None:
            raise self.failure
        self.blobs.append(digest)

    async def add_action(self, key: ActionKey) -> None:
        """Note it."""
        if self.failure is not None:
            raise self.failure
        self.actions.append(key)

    def has_action(self, key: ActionKey) -> bool:
        """Whether it was noted."""
        return key in self.actions
