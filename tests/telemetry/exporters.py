"""Collectors in this process, as exporters see them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class FakeExporter(SpanExporter):
    """Takes spans.

    :ivar spans: what it has taken.
    :ivar tries: how often it was asked to.
    :ivar refuses: whether it takes none.
    :ivar raises: what it fails with, if anything.
    :ivar open: unset, it lets whoever brings spans wait.
    """

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.tries = 0
        self.refuses = False
        self.raises: Exception | None = None
        self.is_shut = False
        self.open = threading.Event()
        self.open.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take them, or not."""
        self.tries += 1
        self.open.wait(10)
        if self.raises is not None:
            raise self.raises
        if self.refuses:
            return SpanExportResult.FAILURE
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """There are no more."""
        self.is_shut = True

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return True
