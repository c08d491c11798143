"""Action results of both tiers, as fresh as the rules of their instance name want them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from twisted.internet.defer import Deferred
from txaio.tx import make_logger
from zope.interface import implementer

from gorego_tw.errors import NotFound, ResourceExhausted, StatusError, Unavailable
from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.proxy.freshness import Freshness, FreshnessRules
from gorego_tw.proxy.outage import Outage
from gorego_tw.proxy.overtaking import Asking, Overtaking
from gorego_tw.proxy.trouble import is_local
from gorego_tw.proxy.write_policy import WritePolicy
from gorego_tw.remote.places import Places
from gorego_tw.replication.shared_work import SharedWork
from gorego_tw.telemetry.context import detached

#: How many comparisons with the backing cache may be under way. A hit that comes meanwhile is not
#: compared; the next one of the same action may be.
MOST_COMPARISONS = 64

# A member of an enumeration takes longer to find than a hit has time for.
_REVALIDATE, _STRICT = Freshness.REVALIDATE, Freshness.STRICT


@implementer(IActionResults)
class ProxyActionResults:
    """The local action results, and behind them those of the backing cache.

    :param local: gives those that are complete in both tiers together.
    :param kept: where they are kept here.
    :param upstream: those of the backing cache, complete too.
    :param rules: when the backing cache is asked in spite of a local hit.
    :param policy: what becomes of writes.
    :param outage: what is told of trouble.
    :param is_pending: whether the local result has still to be uploaded, so that it is the newest.
    :ivar compared: how many local hits were compared with the backing cache.
    :ivar different: in how many of them it had another result, which was taken over.
    """

    _log = make_logger()

    def __init__(
        self,
        local: IActionResults,
        kept: IActionResults,
        upstream: IActionResults,
        *,
        rules: FreshnessRules,
        policy: WritePolicy,
        outage: Outage,
        is_pending: Callable[[ActionKey], bool],
    ) -> None:
        self.compared = 0
        self.different = 0
        self._local = local
        self._kept = kept
        self._upstream = upstream
        self._rules = rules
        self._policy = policy
        self._outage = outage
        self._is_pending = is_pending
        self._overtaking = Overtaking()
        self._turns: dict[ActionKey, Places] = {}
        self._fetches: SharedWork[ActionKey, StoredActionResult] = SharedWork(
            self._fetch, "fetch", "get_result"
        )
        self._comparisons: SharedWork[ActionKey, None] = SharedWork(
            self._compare, "compare with the backing cache"
        )

    async def get(self, key: ActionKey) -> StoredActionResult:
        """The action result, from here or from there.

        :raises NotFound: there is none, or one of its outputs is gone.
        :raises Unavailable: it is not here, the backing cache is in trouble, and that is to be told; or the local
            tier is, and it is not there either.
        """
        freshness = self._rules.of(key.instance_name)
        if freshness is _STRICT and not self._is_pending(key):
            return await self._strictly(key)
        try:
            result = await self._local.get(key)
        except NotFound:
            return await self._from_there(key)
        except StatusError as error:
            if not is_local(error):
                raise self._outage.of(error) from error
            if self._is_pending(key):  # what is there is older
                raise
            return await self._from_there(key)
        if freshness is _REVALIDATE:
            self._begin_comparison(key)
        return result

    async def put(self, key: ActionKey, result: StoredActionResult) -> None:
        """Keep the action result as the write policy says: after those of the same action that came before,
        so that the last one is the same here and there.
        """
        with self._overtaking.writing(key):
            try:
                async with self._turn(key):
                    await self._policy.store(key, result)
            finally:
                # Who asks after this must not be told what was asked for before it.
                self._fetches.forget(key)

    @asynccontextmanager
    async def _turn(self, key: ActionKey) -> AsyncIterator[None]:
        turns = self._turns.setdefault(key, Places(1))
        try:
            async with turns.one():
                yield
        finally:
            if not turns.taken and self._turns.get(key) is turns:
                del self._turns[key]

    async def _strictly(self, key: ActionKey) -> StoredActionResult:
        try:
            return await self._from_there(key)
        except NotFound as error:
            if error.reason == "absent":
                with suppress(NotFound):
                    await self._kept.get(key)
                    error.reason = "expired"  # it is here, and no longer there
            raise

    async def _from_there(self, key: ActionKey) -> StoredActionResult:
        try:
            return await self._fetches(key)
        except StatusError as error:
            if is_local(error):
                raise
            raise self._outage.of(error) from error

    async def _fetch(self, key: ActionKey) -> StoredActionResult:
        with self._overtaking.asking(key) as asking:
            result = await self._upstream.get(key)
            await self._take_over(key, result, asking)
        return result

    async def _take_over(self, key: ActionKey, result: StoredActionResult, asking: Asking) -> None:
        # What was written here meanwhile is newer, and was acknowledged.
        if not asking.overtaken and not self._is_pending(key):
            # If it cannot be kept, it is asked for there again.
            with suppress(ResourceExhausted, Unavailable):
                await self._kept.put(key, result)

    def _begin_comparison(self, key: ActionKey) -> None:
        if len(self._comparisons) < MOST_COMPARISONS and not self._is_pending(key):
            # Nobody waits for it: it is no part of the request.
            compared: Deferred[None] = detached().run(self._comparisons, key)
            compared.addErrback(lambda failure: failure.trap(StatusError) and None)

    async def _compare(self, key: ActionKey) -> None:
        with self._overtaking.asking(key) as asking:
            try:
                there = await self._upstream.get(key)
            except NotFound:
                return  # evicted there, or written here only: no reason to distrust it
            self.compared += 1
            here = await self._kept.get(key)
            if here.data != there.data and not asking.overtaken:
                self.different += 1
                self._log.info(
                    "action {action}: the backing cache has another result, which is taken over",
                    action=str(key.action),
                )
                await self._take_over(key, there, asking)
