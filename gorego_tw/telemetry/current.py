"""The span that what runs here is a part of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from gorego_tw.telemetry.span import LocalRoot, Recorder, Span, SpanContext, Spent
from gorego_tw.telemetry.tallies import MethodTally


class Cause(NamedTuple):
    """What work that outlives a request keeps of the span that began it.

    :ivar tallies: where the work is counted.
    """

    context: SpanContext
    recorder: Recorder
    tallies: MethodTally


#: The span that what runs here is a part of.
current: ContextVar[Span | None] = ContextVar("span", default=None)

#: What began the work that runs here, which is no part of a request.
cause: ContextVar[Cause | None] = ContextVar("cause", default=None)


def begin(name: str) -> Span | None:
    """A part of the current span; a local root where there is none, but a cause; else nothing."""
    span = current.get()
    if span is not None:
        return span.begin(name)
    began = cause.get()
    if began is None:
        return None
    root = LocalRoot(name, began.recorder, began.tallies)
    root.own.parent = began.context
    root.is_sampled = began.recorder.is_exporting and began.context.is_sampled
    return root


def enter(name: str) -> Span | None:
    """As ``begin``; it is the current span here from now on."""
    span = begin(name)
    if span is not None:
        current.set(span)
    return span


@contextmanager
def recorded(name: str) -> Iterator[Span | None]:
    """What happens meanwhile is a span of that name, and the current one, if anything is recorded here."""
    outer = current.get()
    span = begin(name)
    if span is None:
        yield None
        return
    current.set(span)
    try:
        yield span
    except BaseException as error:
        span.end_by(error)
        raise
    else:
        span.end()
    finally:
        current.set(outer)


def spend(what: Spent, seconds: float) -> None:
    """The current span, if any, took so long for that."""
    span = current.get()
    if span is not None:
        span.spend(what, seconds)


def current_ids() -> tuple[str, str] | None:
    """The numbers of the trace and of the span that what runs here is a part of, in hexadecimal."""
    span = current.get()
    if span is None:
        return None
    return format(span.root.origin.trace_id, "032x"), format(span.span_id, "016x")
