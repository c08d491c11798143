"""From ``backing_cache.*`` to the objects: the part of the assembly that is behind the local tier."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from twisted.application.service import IService
from txaio.tx import make_logger

from gorego_tw.cache import Cache, local_stores, served
from gorego_tw.config import Configuration
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.peers import Peer, make_peer
from gorego_tw.proxy.action_results import ProxyActionResults
from gorego_tw.proxy.blobs import ProxyBlobs
from gorego_tw.proxy.freshness import Freshness, FreshnessRules
from gorego_tw.proxy.here_alone import HereAlone
from gorego_tw.proxy.outage import Outage
from gorego_tw.proxy.renewal import Renewal, Used
from gorego_tw.proxy.uploads import ProxyUploads
from gorego_tw.proxy.upstream_results import ReferencedResults
from gorego_tw.proxy.write_policy import (
    Around,
    Back,
    Through,
    ThroughOrBack,
    WritePolicy,
)
from gorego_tw.reapi.limits import Limits
from gorego_tw.reapi.normalising import Normalising
from gorego_tw.remote.breaker import State
from gorego_tw.remote.probe import Probe
from gorego_tw.remote.session import Session
from gorego_tw.replication.copying import Copying
from gorego_tw.replication.flights import Flights
from gorego_tw.replication.presence import Presence
from gorego_tw.replication.write_back import WriteBack
from gorego_tw.reuse.sketch import Sketch
from gorego_tw.settings import BackingCache
from gorego_tw.storage.completeness import CompletenessChecking
from gorego_tw.storage.empty_blob import EmptyBlob
from gorego_tw.storage.local import action_key
from gorego_tw.storage.pending import Pending
from gorego_tw.storage.remembered import Remembering
from gorego_tw.storage.tier import LocalTier
from gorego_tw.tracing.action_results import TracedActionResults, TracedUpstreamResults
from gorego_tw.tracing.blobs import TracedSink
from gorego_tw.tracing.recalled import Recall
from gorego_tw.turns import Turns

#: For how long a blob that was renewed in the backing cache is not renewed again, in seconds. A cache
#: that evicts what was used an hour ago is too small for renewal to help.
RENEWED_SECONDS = 3600.0

#: What may wait to be uploaded, as a part of the local tier: what waits cannot be evicted, and the
#: rest has to be enough for everything else.
PENDING_SHARE = 0.5


class Backing:
    """The two tiers as one cache, and all that keeps them in step.

    :param peer: the backing cache.
    :param sketch: told of each use, if there is one.
    """

    _log = make_logger()

    def __init__(
        self,
        configuration: Configuration,
        peer: Peer,
        tier: LocalTier,
        limits: Limits,
        reactor: Any,
        *,
        sketch: Sketch | None = None,
    ) -> None:
        self._settings = settings = configuration.settings.backing_cache
        self._clock = reactor
        self._tier = tier
        self.peer = peer
        self._local = local = local_stores(tier)
        remote = TracedSink(peer.blobs, "RemoteStore", "backing")
        self._upstream = TracedUpstreamResults(peer.action_results, "RemoteStore", "backing")
        self.presence = Presence(clock=reactor, seconds=settings.presence_seconds)
        self.copying = Copying(
            tier.blobs,
            remote,
            self.presence,
            max_blob_size_bytes=settings.max_backing_blob_size_bytes,
        )
        self.flights = Flights(
            remote.get,
            tier.arrivals,
            absent=lambda digest: self.presence.forget((digest,)),
            clock=reactor,
            grace_seconds=settings.fetch_grace_seconds,
        )
        self.pending = Pending(
            tier.environment,
            reactor,
            max_entries=settings.write_back_max_entries,
            max_bytes=round(tier.space.limit_bytes * PENDING_SHARE),
        )
        self.write_back = self._write_back()
        self._alone = HereAlone()
        self.policy = self._policy()
        self.used = Used()
        if settings.renewals_per_minute:
            tier.last_use.observers.append(self.used.note)
        self.renewal = Renewal(
            self.used,
            peer.blobs,
            gone=self.presence.forget,
            renewed=Presence(clock=reactor, seconds=RENEWED_SECONDS),
            per_minute=settings.renewals_per_minute,
            clock=reactor,
        )
        self.blobs = ProxyBlobs(
            local.blobs,
            remote,
            fetch=self.flights.get,
            presence=self.presence,
            policy=self.policy,
            alone=self._alone,
        )
        self.outage = Outage(as_absence=settings.action_result_when_down == "not_found")
        self.outage.watch(peer.breaker)
        peer.breaker.observers.append(self._forget_presence)
        self.turns = Turns(tier.clock)
        normalising = Normalising(tier.blobs, EmptyBlob(self.blobs), limits, self.turns)
        there = ReferencedResults(self._upstream, normalising.normalised)
        here = Remembering(
            CompletenessChecking(tier.action_results, self.blobs),
            tier.index,
            tier.last_use,
            are_here=lambda references: not tier.inventory.missing(references),
        )
        rules = _rules(settings)
        self.action_results = ProxyActionResults(
            TracedActionResults(here, "LocalStore", "local"),
            tier.action_results,
            TracedActionResults(CompletenessChecking(there, self.blobs), "RemoteStore", "backing"),
            rules=rules,
            policy=self.policy,
            outage=self.outage,
            is_pending=self._is_pending,
        )
        both = Cache(self.blobs, self.action_results, ProxyUploads(local.uploads, self.policy))

        recall = here.recall if rules.are_all_local else _if_final(here.recall, rules)
        self.cache = served(both, tier.evicted, recall, "ProxyStore", sketch=sketch)

    def services(self) -> Iterator[IService]:
        """What has to run, in the order of its start."""
        peer = self.peer
        yield Session(peer.breaker.name, peer.greet, self._close, self._clock)
        yield Probe(peer.breaker, peer.greet, clock=self._clock, random=_random())
        if self._settings.write_policy != "around":
            peer.breaker.observers.append(self._wake)
            yield self.write_back
        elif len(self.pending):
            # Of another policy, before. They keep their room until they are sent.
            self._log.warn(
                "{count} uploads wait that were acknowledged: write_policy around sends none, any other does",
                count=len(self.pending),
            )
        if self._settings.renewals_per_minute:
            yield self.renewal

    def _policy(self) -> WritePolicy:
        results = self._local.action_results
        through = Through(
            results,
            self.copying,
            self._upstream,
            alone=self._alone,
            has_older=self.write_back.has_action,
        )
        back = Back(results, self.copying, self.write_back)
        policies: dict[str, WritePolicy] = {
            "through": through,
            "back": back,
            "through_or_back": ThroughOrBack(through, back, self._alone),
            "around": Around(results),
        }
        return policies[self._settings.write_policy]

    def _write_back(self) -> WriteBack:
        return WriteBack(
            self.pending,
            upload=self.copying.copy,
            ensure=self.copying.ensure,
            put_action=self._put_action,
            results=self._tier.action_results,
            clock=self._clock,
            random=_random(),
            may_ask=lambda: self.peer.breaker.state is State.CLOSED,
            is_known=self.copying.is_known,
            forget=self.presence.forget,
        )

    async def _put_action(self, key: ActionKey, result: StoredActionResult) -> None:
        await self._upstream.put(key, result.data)

    def _is_pending(self, key: ActionKey) -> bool:
        return len(self.pending) > 0 and self.pending.is_pinned(action_key(key))

    def _forget_presence(self, _state: State) -> None:
        # What cannot be had from it now is as good as absent; later it may be another one.
        self.presence.clear()

    def _wake(self, state: State) -> None:
        if state is State.CLOSED:
            self.write_back.wake()

    async def _close(self) -> None:
        self.copying.close()
        await self.flights.close()
        await self.peer.close()


def make_backing(
    configuration: Configuration,
    tier: LocalTier,
    limits: Limits,
    reactor: Any,
    sketch: Sketch | None = None,
) -> Backing | None:
    """What is behind the local tier, if anything is.

    :param sketch: told of each use, if there is one.
    :raises StartError: it cannot be what is configured.
    """
    peer = make_peer(configuration, reactor)
    if peer is None:
        if waiting := tier.environment.pending_entries:
            make_logger().warn(
                "{count} uploads wait that were acknowledged, and there is no backing_cache.target to send them to",
                count=waiting,
            )
        return None
    return Backing(configuration, peer, tier, limits, reactor, sketch=sketch)


def _if_final(recall: Recall, rules: FreshnessRules) -> Recall:
    """What is recalled, where that is final."""

    def recalled(key: ActionKey) -> StoredActionResult | None:
        return recall(key) if rules.is_local_final(key.instance_name) else None

    return recalled


def _rules(settings: BackingCache) -> FreshnessRules:
    by_name = settings.freshness_by_instance_name
    return FreshnessRules(
        Freshness(settings.freshness),
        {name: Freshness(value) for name, value in by_name.items()},
    )


def _random() -> Random:
    return Random()  # noqa: S311 - what it decides is no secret
