"""Which trace a call belongs to: the one its client names, that of its build, or one of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from random import getrandbits
from typing import Literal, NamedTuple, Protocol, TypeAlias
from uuid import UUID

from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gorego_tw.forwarding import Metadata
from gorego_tw.telemetry.span import Origin, Span

PropagatorName: TypeAlias = Literal["tracecontext", "baggage", "b3", "b3multi"]

#: By the names that OpenTelemetry has for them (OTEL_PROPAGATORS). Either of the two for B3 reads both.
_PROPAGATORS: Mapping[PropagatorName, Callable[[], TextMapPropagator]] = {
    "tracecontext": TraceContextTextMapPropagator,
    "baggage": W3CBaggagePropagator,
    "b3": B3SingleFormat,
    "b3multi": B3MultiFormat,
}

#: They repeat what is malformed in a header, up to 8 KiB for each: whoever calls could fill the log.
_TALKATIVE = (
    "opentelemetry.baggage.propagation",
    "opentelemetry.trace.propagation.tracecontext",
    "opentelemetry.trace.span",
)

#: What is longer does not travel on, in bytes. A server of gRPC takes 8 KiB of metadata in all and
#: refuses a call with more, which may be one for many clients. (W3C wants 512 of a trace state.)
_MOST_BYTES: Mapping[str, int] = {"baggage": 2048, "tracestate": 512}

_READ_BY_B3 = frozenset({"b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"})


class Carrier(Protocol):
    """A call, as far as its trace goes."""

    @property
    def shared(self) -> dict[object, object]:
        """A place for what is made of the headers alone, for all calls with the same ones."""

    def metadata(self, name: str) -> str | None:
        """The first value of the header ``name`` (lower case), None if it is absent."""

    def carries(self, names: frozenset[bytes]) -> bool:
        """Whether there is any of those headers."""


class _Metadata(Getter[Carrier]):
    def get(self, carrier: Carrier, key: str) -> list[str] | None:
        value = carrier.metadata(key.lower())
        return None if value is None else [value]

    def keys(self, carrier: Carrier) -> list[str]:
        return []


_GETTER = _Metadata()


class _Told(NamedTuple):
    """What the headers of a call say: a whole origin, or only what has no trace."""

    origin: Origin | None
    baggage: Context | None
    is_denied: bool = False  # it is not to be sampled, whatever its trace will be


class Origins:
    """Finds origins, and tells them to others.

    :param propagators: by which headers; where several name a trace, the first one is believed.
    :param ratio: which part of the traces that begin here is sampled, 0 to 1. Others are as whoever
        began them wants it, unless that is left to us.
    :param invocation_of: the id of the tool's invocation that a call is a part of, "" for none.
    :param invocation_span: the number of the span that stands for that invocation here.
    """

    def __init__(
        self,
        propagators: Iterable[PropagatorName],
        ratio: float,
        *,
        invocation_of: Callable[[Carrier], str],
        invocation_span: Callable[[str], int],
    ) -> None:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        made = [_PROPAGATORS[propagator]() for propagator in propagators]
        self._told = CompositePropagator(made)
        # What is read later replaces what was read before, and B3 has no place for a trace state:
        # whoever sends both is understood by those that are named first.
        self._read_from = CompositePropagator(made[::-1])
        names = self._told.fields
        if names & _READ_BY_B3:
            names = names | _READ_BY_B3
        self._names = frozenset(name.encode() for name in names)
        self._bound = TraceIdRatioBased.get_bound_for_rate(ratio)
        self._new_are_sampled = {0.0: False, 1.0: True}.get(ratio)
        self._invocation_of = invocation_of
        self._invocation_span = invocation_span

    def of(self, call: Carrier) -> Origin:
        """The origin of a call. One that neither its client nor its build gives is new each time."""
        told = call.shared.get(self)
        if told is None:
            told = call.shared[self] = self._read(call)
        assert isinstance(told, _Told)
        if told.origin is not None:
            return told.origin
        new = self.new(told.baggage)
        return new._replace(is_sampled=False) if told.is_denied else new

    def are_sampled(self, call: Carrier) -> bool | None:
        """Whether calls like that are sampled; None if each has its own chance."""
        told = call.shared.get(self)
        if told is None:
            told = call.shared[self] = self._read(call)
        assert isinstance(told, _Told)
        if told.origin is not None:
            return told.origin.is_sampled
        return False if told.is_denied else self._new_are_sampled

    def new(self, baggage: Context | None = None) -> Origin:
        """A new trace."""
        trace_id = getrandbits(128) or 1
        return Origin(trace_id, None, self._is_chosen(trace_id), baggage=baggage)

    def outgoing(self, span: Span) -> Metadata:
        """The headers that make what is called with them a part of ``span``."""
        trace_id, span_id, is_sampled, trace_state, baggage = span.context
        context = trace.set_span_in_context(
            trace.NonRecordingSpan(
                trace.SpanContext(
                    trace_id,
                    span_id,
                    is_remote=False,
                    trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED if is_sampled else 0),
                    trace_state=trace.TraceState(list(trace_state.items())),
                )
            ),
            Context() if baggage is None else baggage,
        )
        return self._injected(context)

    def passed_on(self, span: Span) -> Metadata:
        """The headers that ``span`` has from its client, which nothing here is a part of."""
        given = span.context.baggage
        return () if given is None else self._injected(given)

    def _injected(self, context: Context) -> Metadata:
        headers: dict[str, str] = {}
        self._told.inject(headers, context)
        return tuple(
            (name.lower(), value)
            for name, value in headers.items()
            if len(value) <= _MOST_BYTES.get(name.lower(), len(value))
        )

    def _read(self, call: Carrier) -> _Told:
        baggage = None
        is_denied = False
        if call.carries(self._names):
            context = self._read_from.extract(call, Context(), _GETTER)
            parent = trace.get_current_span(context).get_span_context()
            baggage = context
            if parent.is_valid:
                origin = Origin(
                    parent.trace_id,
                    parent.span_id,
                    self._is_sampled(call, parent),
                    dict(parent.trace_state),
                    baggage,
                )
                return _Told(origin, None)
            is_denied = self._denies(call)
        invocation = self._invocation_of(call)
        if not invocation:
            return _Told(None, baggage, is_denied)
        origin = self._of_invocation(invocation, baggage)
        return _Told(origin._replace(is_sampled=origin.is_sampled and not is_denied), None)

    def _is_sampled(self, call: Carrier, parent: trace.SpanContext) -> bool:
        if self._is_of_traceparent(call, parent):
            return parent.trace_flags.sampled
        # A client that speaks B3 may leave the decision to whoever it calls.
        single = call.metadata("b3")
        if single:
            is_left_to_us = single.count("-") == 1
        else:
            is_left_to_us = not (call.metadata("x-b3-sampled") or call.metadata("x-b3-flags"))
        return self._is_chosen(parent.trace_id) if is_left_to_us else parent.trace_flags.sampled

    def _is_of_traceparent(self, call: Carrier, parent: trace.SpanContext) -> bool:
        """Whether that is the one which is named, and not one of B3's beside it."""
        told = call.metadata("traceparent") if b"traceparent" in self._names else None
        return told is not None and told[3:35] == format(parent.trace_id, "032x")

    def _denies(self, call: Carrier) -> bool:
        """Whether a client that speaks B3 names no trace and wants none."""
        if b"b3" not in self._names and b"x-b3-sampled" not in self._names:
            return False
        return (call.metadata("b3") or call.metadata("x-b3-sampled")) in {"0", "false"}

    def _is_chosen(self, trace_id: int) -> bool:
        return trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < self._bound

    def _of_invocation(self, invocation: str, baggage: Context | None) -> Origin:
        digest = sha256(invocation.encode("utf-8", "surrogatepass")).digest()
        # Not by the id, as for others: some bits of a UUID are the same in all of them.
        is_sampled = int.from_bytes(digest[:8]) < self._bound
        return Origin(
            _trace_id(invocation, digest),
            self._invocation_span(invocation),
            is_sampled,
            baggage=baggage,
            invocation=invocation,
        )


def _trace_id(invocation: str, digest: bytes) -> int:
    """A UUID is of 128 bits, and so is the id of a trace; of anything else they are made."""
    try:
        return UUID(invocation).int or 1
    except ValueError:
        return int.from_bytes(digest[8:24]) or 1
