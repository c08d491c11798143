"""What requests found, and where: the metrics of the cache itself.

Each method has its tally, which its calls carry along (:class:`gorego_tw.telemetry.span.LocalRoot`),
so that a store that is asked need not know by whom.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias, get_args

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from gorego_tw.errors import Reason
from gorego_tw.telemetry.distribution import LATENCY_SECONDS, SIZE_BYTES, Gathered

Tier: TypeAlias = Literal["local", "backing"]
Status: TypeAlias = Literal["hit", "miss", "error", "coalesced"]
Operation: TypeAlias = Literal["get", "put", "find_missing", "get_result", "put_result"]

#: What is counted of each method: one operation. The others are on the way to it, as are the blobs
#: that an action result refers to.
COUNTED: Final[Mapping[str, Operation]] = {
    "GetActionResult": "get_result",
    "UpdateActionResult": "put_result",
    "FindMissingBlobs": "find_missing",
    "BatchReadBlobs": "get",
    "GetTree": "get",
    "Read": "get",
    "BatchUpdateBlobs": "put",
    "Write": "put",
}

#: How often what was noted is to be counted, in seconds: a thousandth of that, if it is much.
SETTLE_SECONDS = 0.1

_REASONS: tuple[Reason, ...] = get_args(Reason)
_STATUSES: tuple[Status, ...] = get_args(Status)
_WRITES = frozenset({"put", "put_result"})


class TierTally:
    """What came of one operation of one method in one tier.

    :ivar hit: found; or, of a write, done.
    :ivar coalesced: found by a fetch, or done by a copy, that another request had begun.
    """

    __slots__ = ("coalesced", "error", "hit", "latency", "miss")

    def __init__(self) -> None:
        self.hit = self.miss = self.error = self.coalesced = 0
        self.latency = Gathered(LATENCY_SECONDS)


class MethodTally:
    """What is counted of one method.

    :param method: its name in the protocol.
    :ivar calls: how long its calls took, in seconds.
    :ivar tiers: by operation and tier, as ``get.local``; what is not there is not counted.
    :ivar sizes: of the blobs and action results that it read or wrote, in bytes.
    :ivar misses: how often it told its client, in so many words, that there is nothing, by why.
    """

    __slots__ = ("calls", "method", "misses", "operation", "sizes", "tiers")

    def __init__(self, method: str, tiers: Iterable[Tier]) -> None:
        self.method = method
        self.operation = COUNTED.get(method)
        self.tiers = {f"{self.operation}.{tier}": TierTally() for tier in tiers}
        self.calls = Gathered(LATENCY_SECONDS)
        self.sizes = Gathered(SIZE_BYTES)
        self.misses = dict.fromkeys(_REASONS, 0)


#: For what is no call of a method that is counted.
UNCOUNTED: Final = MethodTally("", ())


class Tallies(Collector):
    """The tallies of all methods, as metrics.

    :param tiers: those there are.
    """

    def __init__(self, tiers: Iterable[Tier]) -> None:
        self._tiers = tuple(tiers)
        self.methods = {method: MethodTally(method, self._tiers) for method in COUNTED}
        self._others: dict[str, MethodTally] = {}

    def of(self, method: str) -> MethodTally:
        """The tally of a method that there is; of one that looks for nothing, its calls alone are counted."""
        known = self.methods.get(method)
        return self._others.setdefault(method, MethodTally(method, ())) if known is None else known

    def sum(self, operations: Iterable[Operation], tier: Tier, status: Status) -> int:
        """What came of operations of all methods in a tier."""
        return sum(
            getattr(found, status)
            for tally in self.methods.values()
            for key, found in tally.tiers.items()
            if key in {f"{operation}.{tier}" for operation in operations}
        )

    async def settle(self) -> None:
        """Count what was noted since the last time; to be called again and again."""
        for tally in (*self.methods.values(), *self._others.values()):
            tally.calls.settle()
            tally.sizes.settle()
            for found in tally.tiers.values():
                found.latency.settle()

    def collect(self) -> Iterable[CounterMetricFamily | HistogramMetricFamily]:
        """The metrics as they are now."""
        requests = CounterMetricFamily(
            "gorego_cache_requests_total",
            "Lookups of blobs and action results, and writes of them, by what came of them",
            labels=["method", "tier", "status"],
        )
        latency = HistogramMetricFamily(
            "gorego_cache_latency_seconds",
            "How long a tier took to answer; of a blob that is read, to its first bytes",
            labels=["method", "tier"],
        )
        for method, tally in self.methods.items():
            for tier in self._tiers:
                found = tally.tiers[f"{tally.operation}.{tier}"]
                for status in _STATUSES:
                    requests.add_metric([method, tier, status], getattr(found, status))
                latency.add_metric([method, tier], found.latency.buckets(), found.latency.sum)
        yield requests
        yield latency
        yield self._of_calls()
        yield from self._of_methods()

    def _of_calls(self) -> HistogramMetricFamily:
        seconds = HistogramMetricFamily(
            "gorego_grpc_request_seconds",
            "How long calls took, to the last piece of the answer",
            labels=["method"],
        )
        for method, tally in (self.methods | self._others).items():
            seconds.add_metric([method], tally.calls.buckets(), tally.calls.sum)
        return seconds

    def _of_methods(self) -> Iterable[CounterMetricFamily | HistogramMetricFamily]:
        sizes = HistogramMetricFamily(
            "gorego_blob_size_bytes",
            "How large the blobs and action results are that are read and written",
            labels=["method"],
        )
        misses = CounterMetricFamily(
            "gorego_cache_misses_total",
            "What clients were told the cache has not, by why it has not",
            labels=["method", "reason"],
        )
        for method, tally in self.methods.items():
            if tally.operation != "find_missing":
                sizes.add_metric([method], tally.sizes.buckets(), tally.sizes.sum)
            if tally.operation not in _WRITES:
                for reason, count in tally.misses.items():
                    misses.add_metric([method, reason], count)
        yield sizes
        yield misses
