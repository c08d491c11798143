"""What the services of a cache stand on, with one tier or two."""

from __future__ import annotations

from typing import NamedTuple

from gorego_tw.interfaces import IActionResults, IBlobAccess, IUploads
from gorego_tw.storage.completeness import CompletenessChecking
from gorego_tw.storage.empty_blob import EmptyBlob
from gorego_tw.storage.tier import LocalTier


class Cache(NamedTuple):
    """Blobs, the empty one among them; action results that are complete; uploads."""

    blobs: IBlobAccess
    action_results: IActionResults
    uploads: IUploads


def local_cache(tier: LocalTier) -> Cache:
    """The local tier alone."""
    return Cache(
        EmptyBlob(tier.blobs),
        # References never name the empty blob, so the tier itself can be asked for them.
        CompletenessChecking(tier.action_results, tier.blobs),
        tier.uploads,
    )
