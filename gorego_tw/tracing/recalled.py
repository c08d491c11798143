"""Hits that memory has the answer to: the most frequent of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.storage.decorator import ActionResultsDecorator
from gorego_tw.telemetry.current import current
from gorego_tw.tracing.operation import Kind

#: The result, if the local tier remembers it and nobody else has to be asked.
Recall: TypeAlias = Callable[[ActionKey], StoredActionResult | None]

_LOCAL = Kind.of("LocalStore.GetActionResult", "get_result", "local").key


class Recalling(ActionResultsDecorator):
    """Answers what is remembered without asking the stores, however many there are one behind the other.

    It counts as they do. Requests that are sampled go to them, and have their spans.

    :param base: the stores, recorded.
    """

    def __init__(self, base: IActionResults, recall: Recall) -> None:
        super().__init__(base)
        self._recall = recall

    async def get(self, key: ActionKey) -> StoredActionResult:
        """The action result."""
        span = current.get()
        if span is None:
            result = self._recall(key)
            return await self._base.get(key) if result is None else result
        root = span.root
        if root.is_sampled:
            return await self._base.get(key)
        now = root.recorder.now
        started = now()
        result = self._recall(key)
        if result is None:
            return await self._base.get(key)
        seconds = now() - started
        tally = root.tallies
        if tally.operation == "get_result":
            tally.sizes.note(len(result.data))
            found = tally.tiers.get(_LOCAL)
            if found is not None:
                found.hit += 1
                found.latency.note(seconds)
        return result
