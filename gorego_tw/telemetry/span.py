"""What happens for one request, as it is recorded while it happens.

OpenTelemetry's SDK takes 17 µs for a span, which is as long as a whole call takes here. So what
is recorded is two readings of the clock and a name; it becomes a span of the SDK
(:mod:`gorego_tw.telemetry.export`) only if somebody is to see it. Terms are OpenTelemetry's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import getrandbits
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from opentelemetry.context import Context as Baggage
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from gorego_tw.errors import Cancelled, NotFound
from gorego_tw.forwarding import Metadata
from gorego_tw.telemetry.tallies import UNCOUNTED, MethodTally

#: What a span spends its time on, beside the processor. Waiting first:
LOCK: Final = "lock"  #: for another writer of the index or of the blob
ROOM: Final = "room"  #: for eviction, or for the disk to take in what was written
THREAD_POOL: Final = "thread_pool"  #: for a thread that is free
COALESCED: Final = "coalesced"  #: for a fetch or a copy that another request has begun
UPSTREAM: Final = "upstream"  #: for the backing cache
#: then bytes on their way:
DISK: Final = "disk"  #: reading, writing, hashing
NETWORK: Final = "network"  #: the client: until it has taken what was sent, or sent the next

Spent: TypeAlias = Literal[
    "lock", "room", "thread_pool", "coalesced", "upstream", "disk", "network"
]

#: What ends a span though nothing is wrong.
NO_FAILURE = (NotFound, Cancelled, CancelledError, GeneratorExit)

#: Spans of one request that are kept; a batch of thousands of blobs has one for each.
MOST_SPANS = 100

Kind: TypeAlias = Literal["server", "client", "internal"]
Value: TypeAlias = str | int | float | bool


class SpanContext(NamedTuple):
    """What a span is to those outside of its process: whoever it calls, and whoever reads of it.

    :ivar baggage: what the client has sent along, its own span too if it has one, in the form that
        propagators take; None for nothing.
    """

    trace_id: int
    span_id: int
    is_sampled: bool
    trace_state: Mapping[str, str] = {}
    baggage: Baggage | None = None


class Origin(NamedTuple):
    """Which trace a local root belongs to.

    :ivar parent_id: of a span elsewhere; None if the trace begins here.
    :ivar invocation: the build whose own span is the parent, "" if that is none of ours.
    """

    trace_id: int
    parent_id: int | None
    is_sampled: bool
    trace_state: Mapping[str, str] = {}
    baggage: Baggage | None = None
    invocation: str = ""


class Recorder(Protocol):
    """Who begins local roots, and takes them when they have ended."""

    now: Callable[[], float]

    @property
    def is_exporting(self) -> bool:
        """Whether what is sampled goes anywhere."""

    def origin_of(self, root: LocalRoot) -> Origin:
        """Which trace it belongs to; for the same root always the same one."""

    def outgoing(self, span: Span) -> Metadata:
        """The headers by which a peer that is called finds out what it is called for."""

    def ended(self, root: LocalRoot) -> None:
        """All of it has happened."""


class Details:
    """What most spans do not have: a place of its own for each would cost all of them."""

    attributes: dict[str, Value] | None = None
    spent: dict[Spent, float] | None = None
    links: list[SpanContext] | None = None
    error: str = ""
    kind: Kind = "internal"
    span_id: int = 0
    # Of local roots:
    origin: Origin | None = None
    parent: SpanContext | None = None
    code: str = ""
    dropped: int = 0


_NO_DETAILS = Details()


class Span:
    """Something that took time. It runs from when it is made until :meth:`end`.

    :ivar started: a reading of the recorder's clock, in seconds.
    :ivar ended: another; None while it runs.
    """

    __slots__ = ("_details", "ended", "name", "parent", "started")

    def __init__(self, name: str, parent: Span | None, started: float) -> None:
        self.name = name
        self.parent = parent
        self.started = started
        self.ended: float | None = None
        self._details = _NO_DETAILS

    @property
    def root(self) -> LocalRoot:
        """What it is a part of."""
        raise NotImplementedError

    @property
    def details(self) -> Details:
        """What is known of it, to be read."""
        return self._details

    @property
    def own(self) -> Details:
        """What is known of it, to be changed."""
        if self._details is _NO_DETAILS:
            self._details = Details()
        return self._details

    def begin(self, name: str) -> Span:
        """A part of it that begins now. It is not the current span unless it is made so."""
        return self.root.add(Part(name, self, self.root.recorder.now()))

    def end(self) -> None:
        """It has happened."""
        self.ended = self.root.recorder.now()

    def fail(self, error: BaseException) -> None:
        """It has happened, and did not go well."""
        self.own.error = getattr(error, "message", "") or type(error).__name__
        self.end()

    def end_by(self, error: BaseException) -> None:
        """It has happened, and that came of it. What is absent is no failure, nor is who leaves."""
        if isinstance(error, NO_FAILURE):
            self.set("gorego.outcome", type(error).__name__)
            self.end()
        else:
            self.fail(error)

    def end_with(self, result: object) -> None:
        """It has happened: the result of a Deferred says how."""
        if isinstance(result, Failure):
            assert result.value is not None  # one in flight has its exception
            self.end_by(result.value)
        else:
            self.end()

    def spend(self, what: Spent, seconds: float) -> None:
        """It took so long for that; so did the request."""
        _add(self, what, seconds)
        root = self.root
        if root is not self:
            _add(root, what, seconds)

    def set(self, key: str, value: Value) -> None:
        """An attribute."""
        details = self.own
        if details.attributes is None:
            details.attributes = {}
        details.attributes[key] = value

    def link(self, other: SpanContext) -> None:
        """It has to do with a span of another request."""
        details = self.own
        if details.links is None:
            details.links = []
        details.links.append(other)

    @property
    def seconds(self) -> float:
        """How long it took, or has taken."""
        ended = self.root.recorder.now() if self.ended is None else self.ended
        return ended - self.started

    @property
    def span_id(self) -> int:
        """Its number, of 64 bits; made when somebody wants to know it."""
        details = self.own
        if not details.span_id:
            details.span_id = getrandbits(64) or 1
        return details.span_id

    @property
    def context(self) -> SpanContext:
        """What others are told of it."""
        origin = self.root.origin
        return SpanContext(
            origin.trace_id, self.span_id, origin.is_sampled, origin.trace_state, origin.baggage
        )


class Part(Span):
    """A span within a request."""

    __slots__ = ()

    @property
    def root(self) -> LocalRoot:
        """What it is a part of."""
        assert self.parent is not None
        return self.parent.root


class LocalRoot(Span):
    """The first span of a request in this process, and all that is recorded for the request.

    :param call: that it is, if it is one.
    :param subject: what the call asks for.
    :ivar spans: the others, in no order; None for none.
    :ivar tallies: where the request is counted.
    :ivar is_sampled: whether it will be exported.
    """

    __slots__ = ("call", "is_sampled", "recorder", "spans", "subject", "tallies")

    def __init__(
        self,
        name: str,
        recorder: Recorder,
        tallies: MethodTally = UNCOUNTED,
        call: object = None,
        subject: object = None,
    ) -> None:
        self.name = name
        self.parent = None
        self.started = recorder.now()
        self.ended = None
        self._details = _NO_DETAILS
        self.recorder = recorder
        self.tallies = tallies
        self.call = call
        self.subject = subject
        self.spans: list[Span] | None = None
        self.is_sampled = False

    def add(self, span: Span) -> Span:
        """A part of it."""
        if self.spans is None:
            self.spans = []
        if len(self.spans) < MOST_SPANS:
            self.spans.append(span)
        else:
            self.own.dropped += 1
            # What it begins elsewhere shall not be a part of what nobody ever sees.
            assert span.parent is not None
            span.own.span_id = span.parent.span_id
        return span

    def happened(self, name: str, started: float, ended: float) -> Span:
        """A part of it that was not recorded while it happened."""
        span = self.add(Part(name, self, started))
        span.ended = ended
        return span

    def end(self) -> None:
        """It has happened, and whoever records it is told."""
        if self.ended is None:
            super().end()
            self.recorder.ended(self)

    @property
    def root(self) -> LocalRoot:
        """Itself. An attribute would make a cycle of each request, which waits for the collector."""
        return self

    @property
    def origin(self) -> Origin:
        """Which trace it belongs to."""
        details = self.own
        if details.origin is None:
            details.origin = self.recorder.origin_of(self)
        return details.origin

    def take_place(self, origin: Origin, span_id: int) -> None:
        """It is that span of that trace."""
        self.own.origin, self.own.span_id = origin, span_id

    def settle(self, described: Mapping[str, Value]) -> None:
        """Let go of the call, which may be large; what was to be known of it are attributes now."""
        details = self.own
        details.kind = "server"
        details.attributes = {**described, **(details.attributes or {})}
        self.call = self.subject = None


def _add(span: Span, what: Spent, seconds: float) -> None:
    details = span.own
    if details.spent is None:
        details.spent = {}
    details.spent[what] = details.spent.get(what, 0.0) + seconds
