"""What the services of a cache stand on, with one tier or two."""

from __future__ import annotations

from typing import NamedTuple

from gorego_tw.digest import Digest
from gorego_tw.errors import Reason
from gorego_tw.interfaces import ActionKey, IActionResults, IBlobAccess, IUploads
from gorego_tw.reuse.sketch import Sketch, capacities
from gorego_tw.reuse.stores import ReusedActionResults, ReusedBlobs, ReusedUploads, told
from gorego_tw.storage.completeness import CompletenessChecking
from gorego_tw.storage.empty_blob import EmptyBlob
from gorego_tw.storage.evicted import Evicted
from gorego_tw.storage.local import action_key
from gorego_tw.storage.remembered import Remembering
from gorego_tw.storage.taken import taken_bytes
from gorego_tw.storage.tier import LocalTier
from gorego_tw.telemetry.tallies import Tier
from gorego_tw.tracing.action_results import ServedActionResults, TracedActionResults
from gorego_tw.tracing.blobs import ServedBlobs, StoreName, TracedBlobs
from gorego_tw.tracing.recalled import Recall, Recalling
from gorego_tw.tracing.uploads import ServedUploads, TracedUploads


class Cache(NamedTuple):
    """Blobs, the empty one among them; action results that are complete; uploads."""

    blobs: IBlobAccess
    action_results: IActionResults
    uploads: IUploads


def local_cache(tier: LocalTier, sketch: Sketch | None = None) -> Cache:
    """The local tier alone.

    :param sketch: told of each use, if there is one.
    """
    # References never name the empty blob, so the tier itself can be asked for them.
    complete = CompletenessChecking(tier.action_results, local_stores(tier).blobs)
    remembering = Remembering(complete, tier.index, tier.last_use)
    stores = Cache(tier.blobs, remembering, tier.uploads)
    return served(stores, tier.evicted, remembering.recall, "LocalStore", "local", sketch=sketch)


def local_stores(tier: LocalTier) -> Cache:
    """The stores of the local tier, recorded: without the empty blob, action results complete or not."""
    return Cache(
        TracedBlobs(tier.blobs, "LocalStore", "local"),
        TracedActionResults(tier.action_results, "LocalStore", "local"),
        TracedUploads(tier.uploads, "LocalStore", "local"),
    )


def make_sketch(tier: LocalTier) -> Sketch:
    """What is known of reuse, from which the effect of other limits is estimated."""
    sketch = Sketch(capacities(tier.space.limit_bytes), taken_bytes(tier.index))
    tier.last_use.observers.append(sketch.use)
    return sketch


def served(
    cache: Cache,
    evicted: Evicted,
    recall: Recall,
    name: StoreName,
    tier: Tier | None = None,
    *,
    sketch: Sketch | None = None,
) -> Cache:
    """The cache as clients see it, recorded.

    :param evicted: what was evicted lately, which is why it is missed.
    :param recall: gives action results that need not be looked for.
    :param name: what its spans are called.
    :param tier: which one it is, for who counts; None if it is several.
    :param sketch: told of each use, if there is one.
    """

    def of_blob(digest: Digest) -> Reason:
        return "evicted" if digest.key in evicted else "absent"

    def of_result(key: ActionKey) -> Reason:
        return "evicted" if action_key(key) in evicted else "absent"

    recorded = Cache(
        ServedBlobs(cache.blobs, name, tier, of_blob),
        ServedActionResults(cache.action_results, name, tier, of_result),
        ServedUploads(cache.uploads, name, tier),
    )
    if sketch is not None:
        recorded = reused(recorded, sketch)
        recall = told(recall, sketch)
    return Cache(
        EmptyBlob(recorded.blobs), Recalling(recorded.action_results, recall), recorded.uploads
    )


def reused(cache: Cache, sketch: Sketch) -> Cache:
    """The cache, with each use of it told."""
    return Cache(
        ReusedBlobs(cache.blobs, sketch),
        ReusedActionResults(cache.action_results, sketch),
        ReusedUploads(cache.uploads, sketch),
    )
