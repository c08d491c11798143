"""The estimate of what other limits would do, beside what they do."""

from __future__ import annotations

from pathlib import Path

from bench.ci_trace import Entry
from bench.replay import Tier
from gorego_tw.digest import Digest
from gorego_tw.reuse.sketch import CHANCE, LIMITS, Sketch


class SketchedTier(Tier):
    """A tier whose uses are told to a sketch.

    :param chance: of a small blob to be in the sample.
    """

    def __init__(self, capacity_bytes: int, folder: Path, chance: float = CHANCE) -> None:
        super().__init__(capacity_bytes, folder)
        limits = [round(limit * capacity_bytes) for limit in LIMITS]
        self.sketch = Sketch(limits, self.taken, chance)
        self.tier.last_use.observers.append(self.sketch.use)

    def look_up(self, entry: Entry) -> None:
        """As the stores of the daemon do."""
        super().look_up(entry)
        if entry.action is None:
            self.sketch.look_up(_digest(entry))
        else:
            self.sketch.look_up_action(entry.action)

    def store(self, entry: Entry) -> None:
        """As the stores of the daemon do."""
        super().store(entry)
        if entry.action is None:
            self.sketch.use((_digest(entry),))
        else:
            self.sketch.use_action(entry.action)


def _digest(entry: Entry) -> Digest:
    return Digest(entry.key, entry.size_bytes)
