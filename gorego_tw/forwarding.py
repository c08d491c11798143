"""Metadata of the call being served that travels on to the backing cache."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from functools import lru_cache
from typing import TypeAlias

#: Names and values as gRPC has them: lower-case names, bytes where a name ends in "-bin".
Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]

#: The metadata that names the daemons that a call has passed through (:mod:`gorego_tw.via`).
VIA = "gorego-via"

#: Metadata whose names end so tells who asks and why, and does not decide what may be asked.
_INFORMATIVE = ("requestmetadata-bin", VIA)

#: What tells the metadata that travels on, and what it is to be called with; set for each call, and
#: called only if something is asked upstream.
source: ContextVar[tuple[Callable[..., Metadata], object, object] | None] = ContextVar(
    "forwarded metadata", default=None
)


def forwarded() -> Metadata:
    """What travels on from the call that is being served here; nothing outside of a call."""
    told = source.get()
    if told is None:
        return ()
    tell, call, names = told
    return tell(call, names)


def rights(metadata: Metadata) -> Metadata:
    """What of it may decide what its bearer may do."""
    return tuple(pair for pair in metadata if not pair[0].endswith(_INFORMATIVE))


def way(metadata: Metadata) -> Metadata:
    """What of it tells where the call has come along, and nothing of who asks. There are few: one is kept for many."""
    return _one_for_many(tuple(pair for pair in metadata if pair[0] == VIA))


@lru_cache(maxsize=64)
def _one_for_many(metadata: Metadata) -> Metadata:
    return metadata


def detached() -> Context:
    """A context for work that outlives the call it is begun for: of the call it keeps the metadata alone."""
    return carrying(forwarded())


def carrying(metadata: Metadata) -> Context:
    """A context in which that travels on, and nothing else is known."""
    context = Context()
    context.run(source.set, (_as_it_was, metadata, None))
    return context


def _as_it_was(metadata: Metadata, _: object) -> Metadata:
    return metadata
