"""A store of action results whose operations are recorded and counted."""

from __future__ import annotations

from collections.abc import Callable

from gorego_tw.errors import NotFound, Reason
from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.proxy.write_policy import UpstreamResults
from gorego_tw.storage.decorator import ActionResultsDecorator
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.tallies import Tier
from gorego_tw.tracing.blobs import StoreName
from gorego_tw.tracing.operation import Kind, Operation, broke, tally_of, took


class TracedActionResults(ActionResultsDecorator):
    """A store of action results.

    :param name: what its spans are called.
    :param tier: which one it is, for who counts; None if it is several.
    """

    def __init__(self, base: IActionResults, name: StoreName, tier: Tier | None = None) -> None:
        super().__init__(base)
        self._get = Kind.of(f"{name}.GetActionResult", "get_result", tier)
        self._put = Kind.of(f"{name}.PutActionResult", "put_result", tier)

    async def get(self, key: ActionKey) -> StoredActionResult:
        """As the store."""
        span = current.get()
        if span is None:
            return await self._base.get(key)
        root = span.root
        if root.is_sampled:
            with Operation(self._get):
                return await self._base.get(key)
        started = root.recorder.now()
        try:
            result = await self._base.get(key)
        except BaseException as error:
            broke(root, self._get, started, error)
            raise
        took(root, self._get, started, 1)
        return result

    async def put(self, key: ActionKey, result: StoredActionResult) -> None:
        """As the store."""
        with Operation(self._put):
            await self._base.put(key, result)


class TracedUpstreamResults:
    """The serialized action results of the backing cache; reading them is recorded where they are
    checked for what they refer to.
    """

    def __init__(self, base: UpstreamResults, name: StoreName, tier: Tier) -> None:
        self._base = base
        self._put = Kind.of(f"{name}.PutActionResult", "put_result", tier)

    async def get(self, key: ActionKey) -> bytes:
        """As the backing cache."""
        return await self._base.get(key)

    async def put(self, key: ActionKey, data: bytes) -> None:
        """As the backing cache."""
        with Operation(self._put):
            await self._base.put(key, data)


class ServedActionResults(TracedActionResults):
    """The action results that clients see: what they miss is counted, and how large what they get is.

    :param absence: why a result is absent of which nothing else is known.
    """

    def __init__(
        self,
        base: IActionResults,
        name: StoreName,
        tier: Tier | None,
        absence: Callable[[ActionKey], Reason],
    ) -> None:
        super().__init__(base, name, tier)
        self._absence = absence

    async def get(self, key: ActionKey) -> StoredActionResult:
        """As the store."""
        tally = tally_of("get_result")
        if tally is None:
            return await super().get(key)
        try:
            result = await super().get(key)
        except NotFound as error:
            known = error.reason != "absent"
            tally.misses[error.reason if known else self._absence(key)] += 1
            raise
        tally.sizes.note(len(result.data))
        return result

    async def put(self, key: ActionKey, result: StoredActionResult) -> None:
        """As the store."""
        await super().put(key, result)
        tally = tally_of("put_result")
        if tally is not None:
            tally.sizes.note(len(result.data))
