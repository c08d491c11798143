"""The metrics of compression at rest."""

from __future__ import annotations

from gorego_tw.storage.compressing import Compressing
from gorego_tw.telemetry.observed import Observed


def observe_compression(observed: Observed, compressing: Compressing) -> None:
    """Let it be seen what was compressed, what was not, and how much that saved."""
    observed.counter(
        "gorego_compression_blobs_total",
        "Blobs that were compressed, that would not have become smaller (incompressible), or that "
        "stayed as they are for lack of time or room (passed_over)",
        {
            "compressed": lambda: compressing.compressed,
            "incompressible": lambda: compressing.incompressible,
            "passed_over": lambda: compressing.passed_over,
        },
        "outcome",
    )
    observed.counter(
        "gorego_compression_bytes_total",
        "Of the blobs that were compressed: their bytes, as they are (uncompressed) and on the disk",
        {
            "uncompressed": lambda: compressing.original_bytes,
            "stored": lambda: compressing.compressed_bytes,
        },
        "form",
    )
    observed.gauge(
        "gorego_compression_waiting_blobs",
        "Blobs that wait for being compressed",
        lambda: compressing.waiting,
    )
