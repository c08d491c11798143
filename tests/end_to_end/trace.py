"""What a test asks about a trace, and how its clients begin one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from random import getrandbits
from typing import NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.end_to_end.collector import Collector
from tests.end_to_end.daemon import eventually

#: How long it may take until spans are where they are sent to, in seconds.
ARRIVE_SECONDS = 20.0

SERVER = Span.SPAN_KIND_SERVER
CLIENT = Span.SPAN_KIND_CLIENT
INTERNAL = Span.SPAN_KIND_INTERNAL

#: As a call carries them.
Headers = tuple[tuple[str, str], ...]


class ClientSpan(NamedTuple):
    """The span of a client that makes calls, in hexadecimal; never sent to a collector."""

    trace_id: str
    span_id: str

    @classmethod
    def new(cls) -> ClientSpan:
        """One of a new trace."""
        return cls(format(getrandbits(128) or 1, "032x"), format(getrandbits(64) or 1, "016x"))

    def traceparent(self, *, sampled: bool = True) -> Headers:
        """By W3C's recommendation."""
        return (("traceparent", f"00-{self.trace_id}-{self.span_id}-0{int(sampled)}"),)

    def b3(self, *, sampled: bool = True) -> Headers:
        """By B3's single header."""
        return (("b3", f"{self.trace_id}-{self.span_id}-{int(sampled)}"),)

    def b3_multi(self, *, sampled: bool = True) -> Headers:
        """By B3's several headers."""
        return (
            ("x-b3-traceid", self.trace_id),
            ("x-b3-spanid", self.span_id),
            ("x-b3-sampled", str(int(sampled))),
        )


class Trace:
    """The spans of one trace, as far as they have arrived.

    :ivar spans: all of them, those first that began first.
    """

    def __init__(self, spans: Iterable[Span]) -> None:
        self.spans = sorted(spans, key=lambda span: span.start_time_unix_nano)
        self._by_id = {span.span_id: span for span in self.spans}

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)

    def named(self, name: str, kind: int | None = None) -> list[Span]:
        """Those of a name, and of a kind."""
        return [span for span in self.spans if span.name == name and kind in {None, span.kind}]

    def one(self, name: str, kind: int | None = None) -> Span:
        """The only one of that name and kind.

        :raises AssertionError: there is none, or another.
        """
        found = self.named(name, kind)
        assert len(found) == 1, f"{len(found)} of {name}; there are {self.names}"
        return found[0]

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return [span.name for span in self.spans]

    def parent(self, span: Span) -> Span | None:
        """The parent of a span; None if it is not here."""
        return self._by_id.get(span.parent_span_id)

    def children(self, span: Span) -> list[Span]:
        """Those whose parent a span is."""
        return [child for child in self.spans if child.parent_span_id == span.span_id]

    def above(self, span: Span) -> list[Span]:
        """The parent, its parent, and so on, up to the first one in the daemons."""
        found = []
        parent = self.parent(span)
        while parent is not None:
            found.append(parent)
            parent = self.parent(parent)
        return found

    @property
    def strangers(self) -> set[str]:
        """The parents that are not here, in hexadecimal; "" for that of a span without."""
        return {s.parent_span_id.hex() for s in self.spans if s.parent_span_id not in self._by_id}


def arrived(
    collector: Collector, trace_id: str, is_whole: Callable[[Trace], object], what: str = "spans"
) -> Trace:
    """The trace, as soon as ``is_whole`` of it.

    :raises AssertionError: it does not become so.
    """
    found: list[Trace] = []

    def look() -> object:
        found[:] = [Trace(collector.of_trace(trace_id))]
        return is_whole(found[0])

    try:
        eventually(look, what, ARRIVE_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"{error}; there are {found[0].names}") from None
    return found[0]


def spent(span: Span) -> dict[str, float]:
    """What a span spent its time on, in seconds: by ``upstream``, ``network`` and the like."""
    return {
        attribute.key.rpartition(".")[2].removesuffix("_seconds"): attribute.value.double_value
        for attribute in span.attributes
        if attribute.key.endswith("_seconds")
    }


def seconds(span: Span) -> float:
    """How long it took."""
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
