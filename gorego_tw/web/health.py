"""/healthz and /readyz"""

from __future__ import annotations

from collections.abc import Callable

from twisted.web.http import SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import Request


class Health(Resource):
    """200 if all is well, 503 if not, each with a word.

    :param is_well: asked at each request.
    """

    isLeaf = True

    def __init__(self, is_well: Callable[[], bool]) -> None:
        super().__init__()
        self._is_well = is_well

    def render_GET(self, request: Request) -> bytes:
        """The state now."""
        request.setHeader("content-type", "text/plain; charset=utf-8")
        request.setHeader("cache-control", "no-store")
        if self._is_well():
            return b"ok\n"
        request.setResponseCode(SERVICE_UNAVAILABLE)
        return b"not ready\n"
