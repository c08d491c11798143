"""Contexts as calls have them."""

from __future__ import annotations

from contextvars import Context, copy_context

from gorego_tw.forwarding import Metadata, source


def carrying(*metadata: tuple[str, str | bytes]) -> Context:
    """The context of a call with that metadata."""
    context = copy_context()
    context.run(source.set, (_same, metadata, None))
    return context


def _same(metadata: Metadata, _: object) -> Metadata:
    return metadata
