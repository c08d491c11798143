"""Action results that are asked for again and again: kept in memory, and known to be complete.

Nothing can make a complete result incomplete but that something is taken out of the index, or a
result is replaced. As long as neither has happened to it or to what it refers to, what was found
complete is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from gorego_tw.digest import Digest
from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.storage.decorator import ActionResultsDecorator
from gorego_tw.storage.index import Index
from gorego_tw.storage.last_use import LastUse
from gorego_tw.storage.local import action_key

#: What is remembered at most, in bytes: some ten thousand results of ordinary actions. Beyond it the
#: one that came first is forgotten first, since those that are in use come back at once.
MOST_BYTES = 16 << 20

#: What an entry takes beside the bytes of its result, and what each reference in it does, in bytes.
_ENTRY_BYTES = 600
_REFERENCE_BYTES = 100


class _Asked(NamedTuple):
    """A result that was asked for.

    ``removals`` is how often something had been taken out of the index by then, none of it its own.
    ``result`` is None if it was asked for once only, as most are; ``keys`` are those of what is used
    with it.
    """

    removals: int
    result: StoredActionResult | None
    keys: frozenset[bytes]
    size_bytes: int


class Remembering(ActionResultsDecorator):
    """Results that are complete, of which those that are asked for often cost next to nothing.

    :param base: gives none that is not complete.
    :param index: where everything is that they refer to.
    :param last_use: is told of uses as ``base`` would tell it.
    :param are_here: whether all of those blobs are in that index, if ``base`` looks further.
    """

    def __init__(
        self,
        base: IActionResults,
        index: Index,
        last_use: LastUse,
        are_here: Callable[[Collection[Digest]], bool] = lambda _: True,
    ) -> None:
        super().__init__(base)
        self._index = index
        self._last_use = last_use
        self._are_here = are_here
        self._asked: dict[ActionKey, _Asked] = {}
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._asked)

    async def get(self, key: ActionKey) -> StoredActionResult:
        """The action result."""
        recalled = self.recall(key)
        if recalled is not None:
            return recalled
        removals = self._index.removals.count
        asked = self._asked.get(key)
        result = await self._base.get(key)
        if asked is None:
            self._keep(key, _Asked(removals, None, frozenset(), _ENTRY_BYTES))
        elif self._are_here(result.references):
            # The count is that from before the search: what was taken out meanwhile is noticed at the next one.
            self._keep(key, _whole(key, result, removals))
        return result

    def recall(self, key: ActionKey) -> StoredActionResult | None:
        """The action result, if it was asked for often enough; its last use is renewed then."""
        asked = self._asked.get(key)
        if asked is None or asked.result is None:
            return None
        now = self._index.removals.count
        if asked.removals != now:
            if not self._is_untouched(asked):
                self._forget(key)
                return None
            asked = self._asked[key] = asked._replace(removals=now)
        self._last_use.touch_all(asked.keys)
        return asked.result

    def _is_untouched(self, asked: _Asked) -> bool:
        """Whether nothing of it was taken out since, as far as is known."""
        removed = self._index.removals.since(asked.removals)
        return removed is not None and asked.keys.isdisjoint(removed)

    def _keep(self, key: ActionKey, asked: _Asked) -> None:
        self._forget(key)
        self._asked[key] = asked
        self._size_bytes += asked.size_bytes
        while self._size_bytes > MOST_BYTES:
            self._forget(next(iter(self._asked)))

    def _forget(self, key: ActionKey) -> None:
        asked = self._asked.pop(key, None)
        if asked is not None:
            self._size_bytes -= asked.size_bytes


def _whole(key: ActionKey, result: StoredActionResult, removals: int) -> _Asked:
    keys = frozenset((action_key(key), *(digest.key for digest in result.references)))
    size_bytes = _ENTRY_BYTES + len(result.data) + _REFERENCE_BYTES * len(keys)
    return _Asked(removals, result, keys, size_bytes)
