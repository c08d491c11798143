"""Metadata of the call being served that travels on to the backing cache."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import TypeAlias

#: Names and values as gRPC has them: lower-case names, bytes where a name ends in "-bin".
Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]

#: What tells the metadata that travels on; set for each call, called only if something is asked upstream.
source: ContextVar[Callable[[], Metadata] | None] = ContextVar("forwarded metadata", default=None)


def forwarded() -> Metadata:
    """What travels on from the call that is being served here; nothing outside of a call."""
    tell = source.get()
    return () if tell is None else tell()


def detached() -> Context:
    """A context for work that outlives the call it is begun for: of the call it keeps the metadata alone."""
    context, metadata = Context(), forwarded()
    context.run(source.set, lambda: metadata)
    return context
