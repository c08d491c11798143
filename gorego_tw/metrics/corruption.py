"""The metric of what was found damaged, in either tier."""

from __future__ import annotations

from collections.abc import Callable

from gorego_tw.backing import Backing
from gorego_tw.replication.flight import State
from gorego_tw.storage.tier import LocalTier
from gorego_tw.telemetry.observed import Observed


def observe_corruption(observed: Observed, tier: LocalTier, backing: Backing | None) -> None:
    """Let be seen what of either tier turned out not to be what its name says."""
    found: dict[str, Callable[[], float]] = {"local": lambda: tier.inventory.damaged}
    if backing is not None:
        outcomes = backing.flights.outcomes
        found["backing"] = lambda: outcomes[State.CORRUPT]
    observed.counter(
        "gorego_corrupt_blobs_total", "Blobs found damaged, and not given out", found, "tier"
    )
    observed.counter(
        "gorego_first_read_verified_bytes_total",
        "What was compared with its hash because it was read for the first time by this process",
        lambda: tier.verified.hashed_bytes,
    )
