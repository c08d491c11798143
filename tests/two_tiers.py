"""A local tier and a backing cache in memory, put together as in the daemon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextvars import Context
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from gorego_tw.backing import Backing
from gorego_tw.config import load
from gorego_tw.digest import Digest
from gorego_tw.interfaces import IBlobBody
from gorego_tw.peers import Peer
from gorego_tw.reapi.limits import Limits
from gorego_tw.remote.breaker import Breaker
from gorego_tw.remote.retry import Retrying
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.span import LocalRoot
from gorego_tw.via import Station
from tests.proxy.fakes import FakeUpstreamResults
from tests.replication.fakes import FakeRemote
from tests.storage.tiers import TierTestCase
from tests.telemetry.counted import Counted
from tests.telemetry.recording import Call, Recording

T = TypeVar("T")


class HeldRemote(FakeRemote):
    """A backing cache that answers when it is told to.

    :ivar gate: what every call waits for, if anything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gate: Deferred[None] | None = None
        self.resumed = 0

    async def get(self, digest: Digest) -> IBlobBody:
        """The blob."""
        await self._gate()
        return await super().get(digest)

    async def put_from(self, digest: Digest, open_body: Callable[[], Awaitable[IBlobBody]]) -> None:
        """Keep the blob."""
        await self._gate()
        await super().put_from(digest, open_body)

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """Those that are absent."""
        await self._gate()
        return await super().find_missing(digests)

    async def _gate(self) -> None:
        if self.gate is not None:
            await self.gate


class TwoTiersTestCase(TierTestCase):
    """Has both tiers, a recorder and counters.

    :ivar remote: the blobs of the backing cache.
    :ivar upstream: its action results.
    """

    def setUp(self) -> None:
        super().setUp()
        self.remote = HeldRemote()
        self.upstream = FakeUpstreamResults()
        self.recording = Recording()
        self.counted = Counted()
        self.backing = self.make_backing()

    def make_backing(self, **keys: str) -> Backing:
        """The two as one cache, with that configuration."""
        variables = {f"GOREGO_BACKING_CACHE_{key.upper()}": text for key, text in keys.items()}
        configuration = load(None, {"GOREGO_BACKING_CACHE_TARGET": "grpc://host:1", **variables})
        breaker = Breaker("the backing cache", clock=self.clock)
        retrying = Retrying(0, clock=self.clock, random=Random(1))
        station = Station("here", "1")
        peer = Peer(self.remote, self.upstream, _nothing, _nothing, breaker, retrying, station)
        reactor: Any = self.clock
        self.backing = Backing(configuration, peer, self.tier, Limits(), reactor)
        return self.backing

    def request(self, method: str) -> LocalRoot:
        """A request by that method."""
        return self.recording.serve(f"t.T/{method}", Call(), self.counted.of(method), None)

    def within(
        self, root: LocalRoot, work: Callable[[], Coroutine[Deferred[Any], Any, T]]
    ) -> Deferred[T]:
        """The work, as a part of that request."""

        def run() -> Deferred[T]:
            current.set(root)
            return Deferred.fromCoroutine(work())

        return Context().run(run)

    def ask(self, method: str, work: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        """The work, as a request by that method."""
        return self.within(self.request(method), work)


async def _nothing() -> None:
    pass
