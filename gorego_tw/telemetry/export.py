"""Spans on their way to a collector, by OpenTelemetry's own exporter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from time import monotonic, time_ns

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Status, StatusCode
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from txaio.tx import make_logger

from gorego_tw.errors import Code
from gorego_tw.telemetry.delivery import Delivery
from gorego_tw.telemetry.overheard import Overheard
from gorego_tw.telemetry.span import Details, LocalRoot, Recorder, Span, SpanContext

#: Spans that wait for the collector; what comes beyond is dropped, and counted.
MOST_WAITING = 4096

#: Spans that leave at once, and how long they wait for more, in seconds. To encode one takes 32 µs
#: of Python, in which everything else waits: 64 are two milliseconds.
BATCH = 64
DELAY_SECONDS = 1.0

#: By how much the clock of the day and that of the recorder may drift apart before spans follow, in
#: nanoseconds. What is closer is told in one measure: a reading takes a moment, and no child shall
#: begin before its parent for that.
DRIFT_NS = 1_000_000

#: How long the last spans have to be delivered when the daemon ends, in seconds; a batch that is on
#: its way by then may take as long as any.
FLUSH_SECONDS = 5.0

#: How often it is told at most that spans are dropped, in seconds.
TELL_SECONDS = 60.0

_KINDS: Mapping[str, trace.SpanKind] = {
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "internal": trace.SpanKind.INTERNAL,
}

#: What a call ends with that is an error of a server (OpenTelemetry's conventions for gRPC): of the
#: others the client, or the state of the cache, is the cause.
_OURS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)

#: They tell of each batch, or of each span, that is lost; we tell when it begins and when it ends.
_EXPORTER = "opentelemetry.exporter.otlp.proto.grpc.exporter"
_TALKATIVE = ("opentelemetry.sdk.trace.export", "opentelemetry.sdk._shared_internal")


class SpanExport(Service):
    """Makes spans of the SDK, which its batching brings to the collector.

    :param make: makes the exporter, when the service starts: it has threads, which do not survive
        the fork of a daemon.
    :param address: of the collector, for the log.
    :param in_thread: runs something that blocks.
    :ivar dropped: how many spans were not even tried to be delivered; a request of which it was known
        when it began is one, whatever would have come of it.
    """

    _log = make_logger()

    def __init__(
        self,
        make: Callable[[], SpanExporter],
        resource: Resource,
        scope: InstrumentationScope,
        address: str,
        in_thread: Callable[[Callable[[], object]], Deferred[object]],
    ) -> None:
        self.dropped = 0
        self._make = make
        self._resource = resource
        self._scope = scope
        self._address = address
        self._in_thread = in_thread
        self._overheard = Overheard(_EXPORTER)
        self._given = 0
        self._is_crowded = False
        self._tell_again_at = 0.0
        self._epoch = 0
        self._delivery: Delivery | None = None
        self._batches: BatchSpanProcessor | None = None

    def startService(self) -> None:
        """Be ready for spans. No collector has to be there."""
        super().startService()
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._overheard.begin()
        self._delivery = Delivery(self._make(), self._address, lambda: self._overheard.last)
        self._batches = BatchSpanProcessor(
            self._delivery,
            max_queue_size=2 * MOST_WAITING,  # so that it never drops any itself
            max_export_batch_size=BATCH,
            schedule_delay_millis=DELAY_SECONDS * 1000,
        )

    async def stopService(self) -> None:
        """Deliver the last ones, as far as the collector takes them in time."""
        super().stopService()
        batches, self._batches = self._batches, None
        if batches is not None and self._delivery is not None:
            # The time that is given to a flush of the SDK is not heeded there.
            self._delivery.hurry(FLUSH_SECONDS)
            await self._in_thread(batches.force_flush)
            await self._in_thread(batches.shutdown)
            self._overheard.end()

    @property
    def delivered(self) -> int:
        """How many spans the collector has taken."""
        return 0 if self._delivery is None else self._delivery.delivered

    @property
    def lost(self) -> int:
        """How many it has not."""
        return 0 if self._delivery is None else self._delivery.lost

    @property
    def waiting(self) -> int:
        """How many are still to be delivered."""
        return self._given - self.delivered - self.lost

    def is_taking(self) -> bool:
        """Whether a request that begins now is worth recording. If so many spans wait that hardly any of
        it would find room, it is dropped, and counted: to record it first costs as much as to serve it.
        """
        if self._is_crowded:
            if self.waiting >= MOST_WAITING // 2:
                self.dropped += 1
                return False
            self._is_crowded = False
        return True

    def has_room_for(self, root: LocalRoot) -> bool:
        """Whether all spans of a request may wait; if not, they are dropped, and counted."""
        spans = 1 + len(root.spans or ())
        if self._batches is None:
            self.dropped += spans
            return False
        if self.waiting + spans > MOST_WAITING:
            self.dropped += spans
            self._crowded()
            return False
        return True

    def _crowded(self) -> None:
        self._is_crowded = True
        # If they wait because the collector takes none, that is told already.
        is_told = self._delivery is not None and self._delivery.failing
        if not is_told and monotonic() >= self._tell_again_at:
            self._tell_again_at = monotonic() + TELL_SECONDS
            self._log.warn(
                "there are more spans than are sent in a tenth of a processor's time, or than the"
                " collector takes; some are dropped (gorego_spans_total)"
            )

    def add(self, root: LocalRoot) -> None:
        """A request that has ended."""
        assert self._batches is not None
        spans = [root, *sorted(root.spans or (), key=lambda span: span.started)]
        self._given += len(spans)
        epoch = self._epoch_of(root.recorder)
        for span in spans:
            self._batches.on_end(self._readable(span, epoch))

    def _epoch_of(self, recorder: Recorder) -> int:
        """When the recorder's clock began: it tells no time of the day, and that is set now and then."""
        # Another thread may come between the two readings, which makes the difference too small.
        epoch = max(time_ns() - round(recorder.now() * 1e9) for _ in range(2))
        if abs(epoch - self._epoch) > DRIFT_NS:
            self._epoch = epoch
        return self._epoch

    def _readable(self, span: Span, epoch: int) -> ReadableSpan:
        root, details = span.root, span.details
        ended = root.ended if span.ended is None else span.ended
        if span.parent is not None:
            parent: trace.SpanContext | None = _context(span.parent.context)
        elif root.origin.parent_id is not None:
            parent = _context(
                span.context._replace(span_id=root.origin.parent_id),
                is_remote=details.kind == "server" and not root.origin.invocation,
            )
        else:
            parent = None
        return ReadableSpan(
            name=span.name,
            context=_context(span.context),
            parent=parent,
            resource=self._resource,
            attributes=attributes_of(span),
            links=[Link(_context(link)) for link in details.links or ()],
            kind=_KINDS[details.kind],
            instrumentation_scope=self._scope,
            status=_status(details),
            start_time=epoch + round(span.started * 1e9),
            end_time=epoch + round((span.started if ended is None else ended) * 1e9),
        )


def _status(details: Details) -> Status:
    if not details.error or (details.kind == "server" and details.code not in _OURS):
        return Status()
    return Status(StatusCode.ERROR, details.error)


def attributes_of(span: Span) -> dict[str, str | int | float | bool]:
    """All that is known of it: its attributes, and what it spent its time on, in seconds."""
    details = span.details
    attributes = dict(details.attributes or {})
    for what, seconds in (details.spent or {}).items():
        kind = "io" if what in {"disk", "network"} else "wait"
        attributes[f"gorego.{kind}.{what}_seconds"] = round(seconds, 6)
    if details.dropped:
        attributes["gorego.spans_not_kept"] = details.dropped
    if details.code:
        attributes["rpc.grpc.status_code"] = Code[details.code].value
        if details.error:
            attributes["gorego.status_message"] = details.error
    return attributes


def _context(context: SpanContext, is_remote: bool = False) -> trace.SpanContext:
    return trace.SpanContext(
        context.trace_id,
        context.span_id,
        is_remote=is_remote,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        trace_state=trace.TraceState(list(context.trace_state.items())),
    )
