"""The metrics of what another limit of the local tier would do."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from math import nan

from gorego_tw.reuse.sketch import LIMITS, Sketch
from gorego_tw.telemetry.observed import Observed


def observe_reuse(observed: Observed, sketch: Sketch) -> None:
    """Let it be seen."""
    observed.gauges(
        "gorego_estimated_hit_ratio",
        "What the part of lookups in the local tier that are hits would be, with so many times its"
        " limit; an estimate from a sample, of the last week above all",
        ("kind", "limit"),
        lambda: _ratios(sketch),
    )
    observed.gauge(
        "gorego_estimate_samples",
        "Entries from which the hit ratio is estimated; with less than a few hundred it may be anything,"
        " and is 1 until one of them was missed",
        lambda: len(sketch),
    )


def _ratios(sketch: Sketch) -> Mapping[tuple[str, ...], float]:
    """All of them; no number where there were no lookups, as Prometheus has it of a ratio."""
    return {
        (kind, f"{limit:g}"): ratio
        for kind, counts in (("action_result", sketch.actions), ("blob", sketch.blobs))
        for limit, ratio in zip(LIMITS, counts.hit_ratios() or repeat(nan), strict=False)
    }
