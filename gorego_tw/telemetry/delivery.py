"""Batches of spans on their way to the collector, in a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic, sleep, thread_time

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from txaio.tx import make_logger

#: Which part of the processor the encoding may take, so that tracing everything does not halve the
#: daemon.
SHARE = 0.1


class Delivery(SpanExporter):
    """An exporter that takes its time, and whose trouble is told once. It works in a thread.

    :param base: delivers.
    :param address: of the collector, for the log.
    :param reason: why it did not take the last spans, if that is known.
    :param pause: waits for so many seconds.
    :param now: a clock, in seconds.
    :ivar delivered: how many spans were.
    :ivar lost: how many the collector did not take.
    :ivar failing: whether it did not take the last ones.
    """

    _log = make_logger()

    def __init__(
        self,
        base: SpanExporter,
        address: str,
        reason: Callable[[], str],
        pause: Callable[[float], None] = sleep,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.delivered = 0
        self.lost = 0
        self.failing = False
        self._base = base
        self._address = address
        self._reason = reason
        self._pause = pause
        self._now = now
        self._until: float | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Deliver them, then rest for as long as the work deserves."""
        began = thread_time()
        if self._until is not None and self._now() >= self._until:
            result = SpanExportResult.FAILURE
        else:
            result = self._try(spans)
        if result is SpanExportResult.SUCCESS:
            self.delivered += len(spans)
            if self.failing:
                self.failing = False
                self._log.info("spans reach the collector {address} again", address=self._address)
        else:
            self.lost += len(spans)
            if not self.failing:
                self.failing = True
                self._log.warn(
                    "the collector {address} does not take spans; they are dropped until it does: {reason}",
                    address=self._address,
                    reason=self._reason() or "it does not say why",
                )
        if self._until is None:
            self._pause((thread_time() - began) * (1 / SHARE - 1))
        return result

    def hurry(self, seconds: float) -> None:
        """Rest no more, and after so many seconds deliver no more: there are only a few left."""
        self._until = self._now() + seconds

    def shutdown(self) -> None:
        """There is no more."""
        self._base.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As the exporter."""
        return self._base.force_flush(timeout_millis)

    def _try(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            return self._base.export(spans)
        except Exception:  # whatever it is, these spans wait no more
            if not self.failing:
                self._log.failure("spans cannot be sent to the collector")
            return SpanExportResult.FAILURE
