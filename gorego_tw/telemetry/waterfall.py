"""A request that was kept, in the form of what JSON has: what happened in it, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gorego_tw.telemetry.kept import KeptRequest
from gorego_tw.telemetry.span import LocalRoot, Span


def waterfall(kept: KeptRequest) -> dict[str, Any]:
    """All of it. Times are in milliseconds, from its beginning; spans in the order they began."""
    root = kept.root
    spans = sorted(root.spans or (), key=lambda span: span.started)
    return {
        "method": root.name,
        "started": datetime.fromtimestamp(kept.started_ns / 1e9, UTC).isoformat(),
        "trace_id": format(root.origin.trace_id, "032x"),
        "is_exported": root.is_sampled,
        "code": root.details.code,
        "spans": [_told(span, root) for span in (root, *spans)],
        "spans_not_kept": root.details.dropped,
    }


def _told(span: Span, root: LocalRoot) -> dict[str, Any]:
    details = span.details
    parent = None if span.parent is None else format(span.parent.span_id, "016x")
    return {
        "name": span.name,
        "span_id": format(span.span_id, "016x"),
        "parent_id": parent,
        "depth": _depth(span),
        "begins_ms": _ms(span.started - root.started),
        "takes_ms": _ms(span.seconds),
        "spent_ms": {what: _ms(seconds) for what, seconds in (details.spent or {}).items()},
        "attributes": details.attributes or {},
        "error": details.error,
        "links": [
            {"trace_id": format(link.trace_id, "032x"), "span_id": format(link.span_id, "016x")}
            for link in details.links or ()
        ],
    }


def _depth(span: Span) -> int:
    depth = 0
    while span.parent is not None:
        span = span.parent
        depth += 1
    return depth


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)
