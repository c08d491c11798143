"""Figures for people, and for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import click

_UNITS = ("B", "kB", "MB", "GB", "TB")
_DURATIONS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def size(size_bytes: int) -> str:
    """A number of bytes in a unit that suits it."""
    value = float(size_bytes)
    for unit in _UNITS[:-1]:
        if value < 1000:
            return f"{value:.4g} {unit}"
        value /= 1000
    return f"{value:.4g} {_UNITS[-1]}"


def duration(seconds: int) -> str:
    """A number of seconds in a unit that suits it."""
    for length, unit in _DURATIONS:
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return "0 s"


def moment(seconds: int) -> str:
    """A time since the epoch, as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def line(value: Mapping[str, Any], *, err: bool = False) -> None:
    """One object as one line of JSON."""
    click.echo(json.dumps(value), err=err)


def tell(text: str, figures: Mapping[str, Any], *, as_json: bool, err: bool = False) -> None:
    """The text, for people, or the figures as one line of JSON, for programs."""
    if as_json:
        line(figures, err=err)
    else:
        click.echo(text, err=err)


def bar(label: str, length: int, *, hidden: bool = False) -> AbstractContextManager[Any]:
    """A progress bar on standard error, for who looks at it."""
    return click.progressbar(
        length=max(1, length),
        label=label,
        file=sys.stderr,
        show_pos=True,
        hidden=hidden or not _is_watched(),
    )


def _is_watched() -> bool:
    return sys.stderr.isatty()
