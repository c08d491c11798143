"""An event of the log as text: one line for machines, or one for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TypeAlias

from twisted.logger import LogEvent, LogLevel, eventAsText, formatEvent, formatTime

from gorego_tw.telemetry.current import current_ids

#: Makes the text of an event, with the end of the line; None for one that says nothing.
LineFormat: TypeAlias = Callable[[LogEvent], str | None]

#: Keys of events that are not the caller's own: Twisted's, those of its older log, txaio's.
_NOT_FIELDS = frozenset({"format", "message", "system", "time", "isError", "failure", "why"})
_NOT_FIELDS_PREFIXES = ("log_", "txaio_")

#: What JSON has a form for; anything else is told in its own words.
_PLAIN = (str, int, float, bool, type(None))


def text_line(event: LogEvent) -> str | None:
    """Time, level, namespace and message; a traceback follows on lines of its own."""
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    if not text:
        return None
    level, namespace = _level(event), event.get("log_namespace", "-")
    ids = current_ids()
    trace = "" if ids is None else f" trace_id={ids[0]} span_id={ids[1]}"
    return f"{formatTime(event.get('log_time'))} {level} [{namespace}] {text}{trace}\n"


def json_line(event: LogEvent) -> str | None:
    """A JSON object: ``time``, ``level``, ``logger``, ``message``, ``trace_id`` and ``span_id`` if it
    was logged within a span, ``traceback`` if something failed, then the fields that the caller gave.
    """
    message = formatEvent(event)
    failure = event.get("log_failure")
    if not message and failure is None:
        return None
    told: dict[str, object] = {
        "time": _time(event),
        "level": _level(event),
        "logger": event.get("log_namespace", "-"),
        "message": message or str(failure and failure.value),
    }
    ids = current_ids()
    if ids is not None:
        told["trace_id"], told["span_id"] = ids
    if failure is not None:
        told["traceback"] = failure.getTraceback()
    # What is the caller's never takes the place of what is everybody's.
    return json.dumps({**dict(_fields(event)), **told}, ensure_ascii=False) + "\n"


def _fields(event: LogEvent) -> Iterator[tuple[str, object]]:
    for key, value in event.items():
        if key not in _NOT_FIELDS and not key.startswith(_NOT_FIELDS_PREFIXES):
            yield key, value if isinstance(value, _PLAIN) else str(value)


def _level(event: LogEvent) -> str:
    name: str = event.get("log_level", LogLevel.info).name
    return name


def _time(event: LogEvent) -> str:
    when = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
