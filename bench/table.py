"""The figures as text."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from bench.workload import Figure

ROW = "{:<33}{:>11}{:>11}{:>8}{:>10}   {:<10}{:>10}{:>10}"
LIBRARIES = ("twisted", "uvloop", "grpcio", "protobuf", "lmdb")


def header(ours: str, theirs: str) -> str:
    """What the columns are."""
    titles = ("per second, medians", ours, theirs, "ratio", "required", "")
    return ROW.format(*titles, "CPU µs", "CPU µs")


def row(name: str, least: float, ours: Sequence[Figure], theirs: Sequence[Figure]) -> str:
    """The medians of one workload.

    :param least: what the ratio has to be; 0 is for information.

    The ratio is the median of the ratios of the rounds, each round being one run of each
    server, one right after the other.
    """
    ratio = median(mine.rate / other.rate for mine, other in zip(ours, theirs, strict=True))
    required, verdict = "", ""
    if least:
        required = f">= {least:g}"
        verdict = "reached" if ratio >= least else "SHORT"
    return ROW.format(
        name,
        f"{median(figure.rate for figure in ours):,.0f}",
        f"{median(figure.rate for figure in theirs):,.0f}",
        f"{ratio:.2f}",
        required,
        verdict,
        f"{median(figure.cpu_micros for figure in ours):.1f}",
        f"{median(figure.cpu_micros for figure in theirs):.1f}",
    )


def machine() -> str:
    """Where the figures were taken, in one line."""
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{os.cpu_count()} x {processor()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def processor() -> str:
    """The name of the processor (proc(5), cpuinfo)."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts: Mapping[str, str] = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    return facts.get("model name") or platform.machine()
