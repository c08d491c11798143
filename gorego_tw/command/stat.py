"""``gorego cache stat``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gorego_tw.command.access import Location, refused
from gorego_tw.command.connection import Refused
from gorego_tw.command.printing import duration, line, size
from gorego_tw.pb.gorego.control.v1.control_pb2 import StatRequest, StatResponse
from gorego_tw.reuse.report import FILE_NAME, VERSION, WRITE_SECONDS

#: What is estimated, as it is named in the file and for people.
KINDS = {"action_result": "action results", "blob": "blobs"}

#: A daemon that runs renews the estimate more often, in seconds.
OLD_SECONDS = 4 * WRITE_SECONDS

#: With less of them in its sample an estimate may be anything: all are hits until one of the sample is missed.
FEW_SAMPLES = 300


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def stat(location: Location, as_json: bool) -> None:
    """What is stored: entries, bytes, ages, and what another size would bring."""
    try:
        with location.opened() as connection:
            response = connection.ask("Stat", StatRequest(), StatResponse)
    except Refused as error:
        refused(error)
    reuse = read_reuse(location.folder)
    if as_json:
        line(as_object(response, reuse))
    else:
        click.echo("\n".join(as_text(location.folder, response, reuse, time.time())))


def read_reuse(folder: Path) -> dict[str, Any] | None:
    """The daemon's estimate for other limits (:mod:`gorego_tw.reuse.report`); None if there is none."""
    try:
        found = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        if found["version"] != VERSION:
            return None
        limits = [
            {"limit_bytes": int(limit["limit_bytes"])}
            | {kind: None if limit[kind] is None else float(limit[kind]) for kind in KINDS}
            for limit in found["limits"]
        ]
        made = {
            "updated": float(found["updated"]),
            "limit_bytes": int(found["limit_bytes"]),
            "samples": int(found["samples"]),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    return {**made, "limits": limits}


def as_object(response: StatResponse, reuse: dict[str, Any] | None) -> dict[str, Any]:
    """All figures, by the names of the messages."""
    figures = {
        field.name: getattr(response, field.name)
        for field in response.DESCRIPTOR.fields
        if field.name not in {"kinds", "age_seconds"}
    }
    kinds = [
        {"name": kind.name, "entries": kind.entries, "file_bytes": kind.file_bytes}
        for kind in response.kinds
    ]
    ages = {str(percent): response.age_seconds[percent] for percent in sorted(response.age_seconds)}
    figures["pid"] = response.pid or None
    return {"kinds": kinds, **figures, "age_seconds": ages, "reuse": reuse}


def as_text(
    folder: Path, response: StatResponse, reuse: dict[str, Any] | None, now: float
) -> Iterator[str]:
    """The same for people.

    :param now: in seconds since the epoch.
    """
    share = response.used_bytes / response.limit_bytes if response.limit_bytes else 0
    yield f"{folder}: {size(response.used_bytes)} of {size(response.limit_bytes)} ({share:.1%})"
    for kind in response.kinds:
        if kind.entries:
            yield f"  {kind.name:<16}{kind.entries:>12} entries {size(kind.file_bytes):>10} in files"
    yield (
        f"  {'index':<16}{size(response.index_bytes):>12}, "
        f"{size(response.index_free_bytes)} of it free"
    )
    yield f"  {'unfinished':<16}{size(response.partial_bytes):>12} of uploads broken off"
    if response.pending_entries:
        yield f"  {'not uploaded':<16}{response.pending_entries:>12} entries wait for the backing cache"
    ages = response.age_seconds
    if ages:
        yield "last use, of a sample: " + ", ".join(
            f"{_part(percent)} {duration(ages[percent])} ago" for percent in sorted(ages)
        )
    for store, name in KINDS.items():
        hits = [limit for limit in reuse["limits"] if limit[store] is not None] if reuse else []
        if hits:
            yield f"estimated hits of {name}: " + ", ".join(
                f"{size(limit['limit_bytes'])} {limit[store]:.1%}" for limit in hits
            )
    if reuse is not None:
        if any(limit[store] is not None for limit in reuse["limits"] for store in KINDS):
            few = ", too few to say much" if reuse["samples"] < FEW_SAMPLES else ""
            yield f"  estimated from {reuse['samples']} entries{few}"
        if reuse["limit_bytes"] != response.limit_bytes:
            yield f"  estimated for a limit of {size(reuse['limit_bytes'])}"
        if now - reuse["updated"] > OLD_SECONDS:
            yield f"  estimated {duration(round(now - reuse['updated']))} ago"


def _part(percent: int) -> str:
    return {0: "newest", 50: "median", 100: "oldest"}.get(percent, f"{percent} %")
