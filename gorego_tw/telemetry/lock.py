"""A lock of which it is known how long a request waited for it."""

from __future__ import annotations

from typing import Self

from twisted.internet.defer import Deferred, DeferredLock

from gorego_tw.telemetry.context import attached
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.span import LOCK


class RecordedLock(DeferredLock):
    """A lock; the current span is told of the time until one has it, if one has to wait."""

    def acquire(self) -> Deferred[Self]:
        """As of any lock; what follows runs in the context of who has waited."""
        acquired = super().acquire()
        span = current.get()
        if span is None or acquired.called:
            return acquired
        now = span.root.recorder.now
        asked = now()

        def tell(value: Self) -> Self:
            span.spend(LOCK, now() - asked)
            return value

        return attached(acquired.addBoth(tell))
