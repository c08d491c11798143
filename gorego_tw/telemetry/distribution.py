"""How often which values came up.

An observation by prometheus-client takes 1.1 µs and a lock; here everything is counted in the
reactor's thread, by two additions and a search; what comes up with each call, many at a time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeAlias

from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

#: 50 µs to 60 s: from a hit in memory to what is given up.
LATENCY_SECONDS = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip

#: 64 B to 4 GiB, each four times the one before.
SIZE_BYTES = tuple(float(64 << shift) for shift in range(0, 28, 2))

#: As a histogram's family takes them: the bound, how many are not above it, and one of them.
Buckets: TypeAlias = list[tuple[str, float] | tuple[str, float, Exemplar]]


class Example(NamedTuple):
    """One value, and where it comes from."""

    value: float
    trace_id: int
    time: float  # seconds since the epoch


class Distribution:
    """Counts values by the bounds they are not above.

    :param bounds: ascending.
    """

    __slots__ = ("_bounds", "_counts", "_examples", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._sum = 0.0
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._examples: dict[int, Example] = {}

    def observe(self, value: float) -> None:
        """One more."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def exemplify(self, example: Example) -> None:
        """Keep it as the example of those like it, in place of an earlier one."""
        self._examples[bisect_left(self._bounds, example.value)] = example

    @property
    def sum(self) -> float:
        """Of all values."""
        return self._sum

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    def buckets(self) -> Buckets:
        """What was counted."""
        return list(self._buckets())

    def _buckets(self) -> Iterator[tuple[str, float] | tuple[str, float, Exemplar]]:
        bounds = (*self._bounds, float("inf"))
        for at, (bound, count) in enumerate(zip(bounds, accumulate(self._counts), strict=True)):
            example = self._examples.get(at)
            if example is None:
                yield floatToGoString(bound), count
            else:
                value, trace_id, time = example
                labels = {"trace_id": format(trace_id, "032x")}
                yield floatToGoString(bound), count, Exemplar(labels, value, time)


class Gathered(Distribution):
    """Counts values some time after they came up: to note one takes a tenth of what counting it takes
    at once, between other work; many in a row take a third of that each.

    :ivar note: one more. Somebody has to call :meth:`settle` again and again, or they pile up.
    """

    __slots__ = ("_values", "note")

    def __init__(self, bounds: Sequence[float]) -> None:
        super().__init__(bounds)
        self._values: list[float] = []
        self.note: Callable[[float], None] = self._values.append

    def settle(self) -> None:
        """Count what was noted."""
        values = self._values
        if not values:
            return
        values.sort()
        below = 0
        for at, bound in enumerate(self._bounds):
            not_above = bisect_right(values, bound)
            self._counts[at] += not_above - below
            below = not_above
        self._counts[-1] += len(values) - below
        self._sum += sum(values)
        values.clear()

    @property
    def sum(self) -> float:
        """Of all values."""
        self.settle()
        return self._sum

    @property
    def count(self) -> int:
        """How many there were."""
        self.settle()
        return super().count

    def buckets(self) -> Buckets:
        """What was counted."""
        self.settle()
        return super().buckets()
