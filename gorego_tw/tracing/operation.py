"""One operation of a store, as a span and as a count."""

from __future__ import annotations

from time import time
from types import TracebackType
from typing import NamedTuple, Self, cast

from twisted.internet.defer import CancelledError

from gorego_tw.errors import Cancelled, NotFound
from gorego_tw.grpc.router import Call
from gorego_tw.telemetry.current import begin, current
from gorego_tw.telemetry.distribution import Example
from gorego_tw.telemetry.span import LocalRoot, Span
from gorego_tw.telemetry.tallies import MethodTally, Tier, TierTally
from gorego_tw.telemetry.tallies import Operation as OperationName

#: What ends an operation whose result nobody waits for any more.
_LEFT = (Cancelled, CancelledError, GeneratorExit)

#: What is worth a look in a request that is not sampled, in seconds.
NOTICED_SECONDS = 0.001


class Kind(NamedTuple):
    """What an operation of one store is called.

    ``name`` is that of its spans, ``key`` where a tally counts it.
    """

    name: str
    key: str

    @classmethod
    def of(cls, name: str, operation: OperationName, tier: Tier | None) -> Self:
        """That of an operation; counted nowhere if the store is no tier."""
        return cls(name, f"{operation}.{tier}")


def tally_of(operation: OperationName) -> MethodTally | None:
    """The tally of the current request, if that operation is what it is for."""
    span = current.get()
    if span is None or span.root.tallies.operation != operation:
        return None
    return span.root.tallies


def has_left(root: LocalRoot, error: BaseException) -> bool:
    """Whether an operation ended so because the client has gone, and nothing came of it.

    It has not gone if its deadline passed: for that the tier was too slow. Nor has it from a fetch,
    which goes on without it for a while.
    """
    if root.call is None or not isinstance(error, _LEFT):
        return False
    return cast(Call, root.call).time_remaining() != 0


def took(root: LocalRoot, kind: Kind, started: float, hits: int, misses: int = 0) -> None:
    """An operation of a request that is not sampled has ended; for those that take a few µs.

    It is recorded only if it is worth a look, and what it did itself is not a part of it then,
    but beside it.
    """
    name, key = kind
    ended = root.recorder.now()
    tally = root.tallies.tiers.get(key)
    if tally is not None:
        tally.hit += hits
        tally.miss += misses
        tally.latency.note(ended - started)
    if ended - started >= NOTICED_SECONDS:
        root.happened(name, started, ended)


def broke(root: LocalRoot, kind: Kind, started: float, error: BaseException, many: int = 1) -> None:
    """As ``took``, for one that has ended so."""
    if isinstance(error, NotFound):
        took(root, kind, started, 0, many)
        return
    name, key = kind
    ended = root.recorder.now()
    tally = root.tallies.tiers.get(key)
    if tally is not None and not has_left(root, error):
        tally.error += many
        tally.latency.note(ended - started)
    root.happened(name, started, ended).end_by(error)


class Operation:
    """The block in which the store is asked. Nothing is recorded where there is no request.

    :param kind: counted if it is what the current request is for.
    :param many: of how many blobs it is.
    :ivar span: is current in the block, and ends with it, unless ``goes_on``.
    :ivar missing: how many of the blobs were not there.
    """

    __slots__ = ("_kind", "_many", "_outer", "goes_on", "missing", "span")

    def __init__(self, kind: Kind, many: int = 1) -> None:
        self.span: Span | None = None
        self.goes_on = False
        self.missing = 0
        self._kind = kind
        self._many = many
        self._outer: Span | None = None

    def __enter__(self) -> Self:
        self._outer = current.get()
        self.span = span = begin(self._kind.name)
        if span is not None:
            current.set(span)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        span = self.span
        if span is None:
            return
        current.set(self._outer)
        tally = span.root.tallies.tiers.get(self._kind.key)
        if tally is not None:
            self._count(tally, span, error)
        if error is not None:
            span.end_by(error)
        elif not self.goes_on:
            span.end()

    def _count(self, tally: TierTally, span: Span, error: BaseException | None) -> None:
        root = span.root
        if error is None:
            tally.hit += self._many - self.missing
            tally.miss += self.missing
        elif isinstance(error, NotFound):
            tally.miss += self._many
        elif has_left(root, error):
            return
        else:
            tally.error += self._many
        seconds = root.recorder.now() - span.started
        tally.latency.note(seconds)
        if root.is_sampled:
            tally.latency.exemplify(Example(seconds, root.origin.trace_id, time()))
