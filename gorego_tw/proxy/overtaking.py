"""Which action results that were asked for upstream have been overtaken by a write meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gorego_tw.interfaces import ActionKey


class Asking:
    """One question to the backing cache, whose answer may be older than what was written since.

    :ivar overtaken: whether something was written.
    """

    def __init__(self) -> None:
        self.overtaken = False


class Overtaking:
    """Knows the questions and the writes that are under way, and nothing else."""

    def __init__(self) -> None:
        self._writing: Counter[ActionKey] = Counter()
        self._asking: dict[ActionKey, list[Asking]] = {}

    @contextmanager
    def writing(self, key: ActionKey) -> Iterator[None]:
        """While it is written, and may be so here already, nothing older is taken over."""
        self._overtake(key)
        self._writing[key] += 1
        try:
            yield
        finally:
            self._overtake(key)
            self._writing[key] -= 1
            if not self._writing[key]:
                del self._writing[key]

    @contextmanager
    def asking(self, key: ActionKey) -> Iterator[Asking]:
        """While it is asked for, and until its answer is taken over."""
        asking = Asking()
        asking.overtaken = key in self._writing
        others = self._asking.setdefault(key, [])
        others.append(asking)
        try:
            yield asking
        finally:
            others.remove(asking)
            if not others:
                del self._asking[key]

    def _overtake(self, key: ActionKey) -> None:
        for asking in self._asking.get(key, ()):
            asking.overtaken = True
