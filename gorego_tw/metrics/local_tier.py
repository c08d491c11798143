"""The metrics of the local tier and of what keeps it below its limit."""

from __future__ import annotations

from collections.abc import Callable

from gorego_tw.digest import DigestFunction
from gorego_tw.eviction.janitor import Janitor
from gorego_tw.storage.records import ACTIONS
from gorego_tw.storage.tier import LocalTier
from gorego_tw.telemetry.observed import Observed


def observe_tier(observed: Observed, tier: LocalTier, janitor: Janitor) -> None:
    """Let all of it be seen."""
    _observe_disk(observed, tier)
    _observe_evictions(observed, janitor)
    _observe_entries(observed, tier)
    _observe_upkeep(observed, tier)


def _observe_disk(observed: Observed, tier: LocalTier) -> None:
    space = tier.space
    observed.gauge(
        "gorego_disk_usage_bytes",
        "What the local tier takes of the disk, its index included",
        lambda: space.used_bytes,
    )
    observed.gauge(
        "gorego_disk_limit_bytes",
        "What the local tier may take of the disk",
        lambda: space.limit_bytes,
    )
    observed.gauge(
        "gorego_disk_reserved_bytes",
        "What is promised to writes under way",
        lambda: space.reserved_bytes,
    )
    observed.counter(
        "gorego_disk_writes_refused_total",
        "Writes that there was no room for",
        lambda: space.refusals,
    )


def _observe_evictions(observed: Observed, janitor: Janitor) -> None:
    observed.counter(
        "gorego_janitor_evictions_total",
        "What was evicted: blobs and action results (files), and what they took of the disk (bytes)",
        {"files": lambda: janitor.evicted_entries, "bytes": lambda: janitor.evicted_bytes},
        "unit",
    )
    observed.gauge(
        "gorego_janitor_evicted_age_seconds",
        "How long the entry that was evicted last had not been used",
        lambda: janitor.last_evicted_age_seconds,
    )
    observed.gauge(
        "gorego_pinned_bytes",
        "What blobs take of the disk that builds were told of lately, and that go after all others;"
        " those of the last minute are not counted, and a restart forgets all",
        lambda: janitor.in_progress.size_bytes,
    )
    observed.counter(
        "gorego_pins_released_total",
        "Blobs that may go before their time: more are in use than are pinned (bound), or there was"
        " nothing else to evict (need)",
        {
            "bound": lambda: janitor.in_progress.overflows,
            "need": lambda: janitor.in_progress.released,
        },
        "reason",
    )
    observed.counter(
        "gorego_janitor_failures_total",
        "Runs of the janitor that failed",
        lambda: janitor.failures,
    )


def _observe_entries(observed: Observed, tier: LocalTier) -> None:
    kinds = {"action_result": ACTIONS} | {f.name.lower(): f.value for f in DigestFunction}
    observed.gauge(
        "gorego_cache_entries",
        "Action results, and blobs by their digest function, in the local tier",
        {name: _entries(tier, kind) for name, kind in kinds.items()},
        "kind",
    )
    observed.counter(
        "gorego_uploads_abandoned_total",
        "Uploads that nobody went on with, deleted after a day",
        lambda: tier.uploads.abandoned,
    )


def _observe_upkeep(observed: Observed, tier: LocalTier) -> None:
    checkpoints, comparison, scrub = tier.checkpoints, tier.reconciliation, tier.scrub
    observed.counter(
        "gorego_checkpoints_total",
        "How often everything was brought to stable storage",
        lambda: checkpoints.taken,
    )
    observed.gauge(
        "gorego_index_comparison_progress_ratio",
        "Which part of the files was compared with the index; 1 if there is nothing to compare",
        lambda: comparison.progress,
    )
    observed.counter(
        "gorego_index_comparison_total",
        "What the comparison found: files of which the index did not know (adopted), files that are "
        "not what their names say (refused), entries without a file (lost)",
        {
            "adopted": lambda: comparison.adopted,
            "refused": lambda: comparison.refused,
            "lost": lambda: comparison.lost,
        },
        "outcome",
    )
    observed.counter(
        "gorego_scrub_entries_total",
        "Blobs and action results that were compared with their hash by scrub",
        lambda: scrub.scrubbed_entries,
    )
    observed.counter(
        "gorego_scrub_bytes_total", "How large those were", lambda: scrub.scrubbed_bytes
    )
    observed.counter(
        "gorego_scrub_passes_total", "How often scrub came to the end", lambda: scrub.passes
    )
    observed.gauge(
        "gorego_scrub_progress_ratio",
        "Which part of the entries the pass of scrub that is under way has seen",
        lambda: scrub.progress,
    )


def _entries(tier: LocalTier, kind: int) -> Callable[[], float]:
    def count() -> float:
        tally = tier.index.tallies.get(kind)
        return 0 if tally is None else tally.entries

    return count
