"""A backing cache as the queue sees it: it says what it was told, fails and waits when it is told to."""

from __future__ import annotations

from collections.abc import Collection

from twisted.internet.defer import Deferred

from gorego_tw.digest import Digest
from gorego_tw.errors import FailedPrecondition, StatusError
from gorego_tw.forwarding import Metadata, forwarded
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.tier import LocalTier

Subject = Digest | ActionKey


class FakeBacking:
    """A backing cache that says what it was told, in order.

    :ivar begun: each upload that began.
    :ivar asked: what it was made sure of.
    :ivar metadata: what travelled with each upload.
    :ivar believed: what ``ensure`` takes for present without a look.
    :ivar failures: what uploads fail with.
    :ivar down: what everything fails with, if anything.
    :ivar held: whether uploads wait until they are let go.
    """

    def __init__(self, tier: LocalTier) -> None:
        self.tier = tier
        self.begun: list[Subject] = []
        self.asked: list[Digest] = []
        self.blobs: set[Digest] = set()
        self.believed: set[Digest] = set()
        self.results: dict[ActionKey, StoredActionResult] = {}
        self.failures: dict[Subject, Exception] = {}
        self.down: StatusError | None = None
        self.held = False
        self.metadata: list[Metadata] = []
        self.waiting: dict[Subject, list[Deferred[None]]] = {}

    async def upload(self, digest: Digest) -> None:
        await self._begin(digest)
        (await self.tier.blobs.get(digest)).discard()
        self.blobs.add(digest)

    async def ensure(self, digests: Collection[Digest]) -> None:
        self.asked += digests
        for digest in digests:
            if digest not in self.blobs and digest not in self.believed:
                await self.upload(digest)

    async def put_action(self, key: ActionKey, result: StoredActionResult) -> None:
        if not self.blobs.issuperset(result.references):
            raise FailedPrecondition("backing cache: a blob is missing")
        await self._begin(key)
        self.results[key] = result

    def let_go(self, subject: Subject, error: StatusError | None = None) -> None:
        """Let the uploads of one blob or action result end, well or with that failure."""
        for waiting in self.waiting.pop(subject):
            if error is None:
                waiting.callback(None)
            else:
                waiting.errback(error)

    async def _begin(self, subject: Subject) -> None:
        self.begun.append(subject)
        self.metadata.append(forwarded())
        if self.down is not None:
            raise self.down
        if subject in self.failures:
            raise self.failures[subject]
        if self.held:
            waiting: Deferred[None] = Deferred()
            self.waiting.setdefault(subject, []).append(waiting)
            await waiting
