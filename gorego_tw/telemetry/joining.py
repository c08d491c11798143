"""Waiting for what another request has begun, and for what the backing cache answers.

What is waited for is fired in a context that is not the waiter's; what is returned here calls its
callbacks in that of whoever waits.
"""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred

from gorego_tw.telemetry.context import attached
from gorego_tw.telemetry.current import begin, current
from gorego_tw.telemetry.span import COALESCED, UPSTREAM, Span, Spent
from gorego_tw.telemetry.tallies import Operation

T = TypeVar("T")


def begin_joined(other: Span | None, operation: Operation | None) -> Span | None:
    """The span of the wait for what ``other`` is the span of; None where nothing is recorded.

    :param operation: of the backing cache, which is counted as joined if it is what the current
        request is for.
    """
    span = begin("deduplicating request")
    if span is not None:
        if other is not None:
            span.link(other.context)
        tally = span.root.tallies.tiers.get(f"{operation}.backing")
        if tally is not None:
            tally.coalesced += 1
    return span


def joined(
    result: Deferred[T], other: Span | None, operation: Operation | None = None
) -> Deferred[T]:
    """``result``; until it is there, the current request waits for what another has begun."""
    span = begin_joined(other, operation)
    if span is None:
        return result

    def tell(value: T) -> T:
        span.spend(COALESCED, span.seconds)
        span.end()
        return value

    return attached(result.addBoth(tell))


def awaited(result: Deferred[T], what: Spent = UPSTREAM) -> Deferred[T]:
    """``result``; until it is there, the current span waits for that: for the backing cache, if nothing else is told."""
    span = current.get()
    if span is None:
        return result
    now = span.root.recorder.now
    asked = now()

    def tell(value: T) -> T:
        span.spend(what, now() - asked)
        return value

    return attached(result.addBoth(tell))
