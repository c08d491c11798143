"""/debug/stacks: where every thread is at this moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.web.resource import Resource
from twisted.web.server import Request

from gorego_tw.telemetry.stacks import Stack, current_stacks


class Stacks(Resource):
    """The stacks as text, the innermost frame last.

    :param look: where the threads are.
    """

    isLeaf = True

    def __init__(self, look: Callable[[], Mapping[str, Stack]] = current_stacks) -> None:
        super().__init__()
        self._look = look

    def render_GET(self, request: Request) -> bytes:
        """All of them."""
        request.setHeader("content-type", "text/plain; charset=utf-8")
        request.setHeader("cache-control", "no-store")
        lines: list[str] = []
        for name, stack in self._look().items():
            lines += [name, *(f"  {f.name}  {f.file}:{f.line}" for f in stack), ""]
        return "\n".join(lines).encode()
